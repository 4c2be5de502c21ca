"""What a benchmark says in tables and in words."""

from typing import Any

import pytest

from fairseq_prune.bench.answer import answer_of
from fairseq_prune.bench.notes import notes_of
from fairseq_prune.bench.speed import Setting, Speed
from fairseq_prune.bench.tables import tables_of
from fairseq_prune.files.table import as_markdown, as_text

DENSE, PRUNED = "dense/checkpoint_best.pt", "ffn-heads/checkpoint_best.pt"
KINDS = ("fairseq", "fairseq-csr", "ctranslate2-int8")
# tokens a second of each model in each kind, round by round
RATES = {
    DENSE: ([100.0, 110.0], [50.0, 50.0], [1000.0, 1100.0]),
    PRUNED: ([100.0, 105.0], [80.0, 90.0], [1300.0, 1200.0]),
}


def speed(model: str, kind: str, rates: list[float], batch: int) -> dict[str, Any]:
    name, row = f"{model}: {kind}", KINDS.index(kind)
    base, same = RATES[DENSE][0], RATES[DENSE][row]
    return Speed(
        name, Setting(5, batch), rates, [1e4 / rate for rate in rates],
        [a / b for a, b in zip(rates, base, strict=True)], f"{DENSE}: {kind}",
        [a / b for a, b in zip(rates, same, strict=True)],
        [[1e4 / rate, 2e4 / rate] for rate in rates], 4000,
    ).as_dict()  # fmt: skip


def facts(**more: Any) -> dict[str, Any]:
    """Those of two models in three engines, at batches 1 and 64."""
    models = (DENSE, PRUNED)
    engines = {
        f"{model}: {kind}": {
            "model": model, "kind": kind, "form": "stripped", "bytes": 3_000_000 + row + column,
            "memory_bytes": 280_000_000 - row, "against": f"{DENSE}: {kind}", "bytes_ratio": 1.0,
            "memory_ratio": 0.9,
        }
        for row, model in enumerate(models) for column, kind in enumerate(KINDS)
    }  # fmt: skip
    work = {"multiply_adds_per_source_token": (37_748_736, 7_748_736), "work_sparsity": 0.8,
            "multiply_adds_per_target_token": (57_748_736, 7_748_736),
            "parameters": 168_540_160, "nonzero": 78_540_160}  # fmt: skip
    quality = [
        {"engine": name, "against": f"{DENSE}: fairseq", "beam": 5, "bleu": 75.0 - row, "p": p,
         "bleu_difference": 0.0 - row, "chrf": 80.0, "chrf_difference": 0.0, "sentences": 500,
         "bleu_signature": "nrefs:1"}
        for row, (name, p) in enumerate(zip(
            engines, (None, None, 0.4, 0.0004, 0.02, 0.3), strict=True))
    ]  # fmt: skip
    lengths = [{"engine": name, "beam": 5, "ratio": 2.5 if PRUNED in name else 1.0}
               for name in engines]  # fmt: skip
    speeds = [speed(model, kind, RATES[model][row], batch) for batch in (1, 64)
              for model in models for row, kind in enumerate(KINDS)]  # fmt: skip
    sizes = {"as it is": 11_410_289, "stripped": 3_000_000, "compact": 111}
    found = {
        "against": DENSE, "base": f"{DENSE}: fairseq", "length": "reference", "left_out": [],
        "models": {model: {"bytes": sizes, **work} for model in models}, "engines": engines,
        "quality": quality, "own_lengths": lengths, "speeds": speeds,
        "asked": {"sentences": 100, "subset": "test", "rounds": 2, "threads": 1, "cpu_time": False},
    }  # fmt: skip
    return {**found, **more}


def test_a_model_is_compared_at_its_fastest_with_the_other_at_its_fastest() -> None:
    """Sparse matrices make a model with zeros faster, in an engine that is slower than others."""
    said = answer_of(facts())
    assert said[0] == (
        f"fastest at beam 5, batch 1: {PRUNED} in ctranslate2-int8, 11.95 times as fast as {DENSE} "
        "in fairseq"
    )
    (line,) = [one for one in said if one.startswith(f"{PRUNED} against")]
    assert line == (
        f"{PRUNED} against {DENSE}, each in its fastest engine: faster at beam 5, batch 1 "
        "(ctranslate2-int8, 1.20x), at beam 5, batch 64 (ctranslate2-int8, 1.20x)"
    )
    csr = {**facts(), "engines": {n: e for n, e in facts()["engines"].items() if "int8" not in n}}
    csr["speeds"] = [s for s in csr["speeds"] if s["engine"] in csr["engines"]]
    csr["quality"] = csr["own_lengths"] = []
    said = answer_of(csr)
    assert any(
        "in its fastest engine: no faster at beam 5, batch 1 (fairseq, 0.98x)" in s for s in said
    )
    assert said[0] == (
        f"fastest at beam 5, batch 1: {DENSE} in fairseq; not told apart from it: {PRUNED} in "
        "fairseq"
    )


def test_bleu_and_lengths_are_said_in_words() -> None:
    said = answer_of(facts())
    assert (
        f"BLEU of {DENSE} at beam 5 against {DENSE} in fairseq: the same translations in "
        "fairseq-csr (74.00, -1.00); no difference shown (p 0.400) in ctranslate2-int8 (73.00, "
        "-2.00)"
    ) in said
    assert any("lower (p < 0.001) in fairseq (72.00, -3.00); lower (p 0.020)" in s for s in said)
    ratios = ", ".join(f"2.50 times in {kind} at beam 5" for kind in KINDS)
    assert said[-1] == (
        f"own translations of {PRUNED} run on: of the references' tokens {ratios}; times of these "
        "(--length own) would mislead"
    )


def test_tables_fit_a_terminal_and_engines_of_a_kind_stand_together() -> None:
    tables = tables_of(facts())
    for table in tables:
        assert max(map(len, as_text(table).splitlines())) <= 120
        assert len({len(row) for row in table}) == 1
    found = as_text(tables[-1]).splitlines()
    assert [line[:30].rstrip() for line in found[2:]] == [
        "fairseq", f"  {DENSE}", f"  {PRUNED}"[:30], "fairseq-csr", f"  {DENSE}",
        f"  {PRUNED}"[:30], "ctranslate2-int8", f"  {DENSE}", f"  {PRUNED}"[:30],
    ]  # fmt: skip
    assert found[0].split()[:4] == ["beam", "5,", "batch", "64"]
    assert found[4].split()[1:] == [
        "146", "(1.02x)", "190", "(1.02x)", "102", "0.98x", "(0.95-1.00)", "no", "gain", "0.98x",
    ]  # fmt: skip
    assert found[7].split()[-3:] == ["(1.60-1.80)", "faster", "0.81x"]
    assert as_markdown(tables[-1]).count("\n") == len(found)


@pytest.mark.parametrize("length", ["reference", "own"])
def test_how_it_was_timed_is_said(length: str) -> None:
    said = notes_of(facts(length=length, quality=[], own_lengths=[]))
    forced = "timed with as many steps as the references have tokens, the same for every model"
    assert any(forced in line for line in said) == (length == "reference")
    assert any("each model's own translations are timed" in line for line in said) == (
        length == "own"
    )
    assert any("else of batches by their sentences (2 of 64)" in line for line in said)
    small = facts(
        asked={"sentences": 20, "subset": "test", "rounds": 2, "threads": 1, "cpu_time": False}
    )
    assert "batch 64 has 20 sentences: there are no more" in notes_of(small)


def test_one_model_alone_is_compared_with_itself_in_fairseq() -> None:
    one = facts()
    for part in ("models", "engines"):
        one[part] = {name: said for name, said in one[part].items() if DENSE in name}
    for part in ("quality", "own_lengths", "speeds"):
        one[part] = [row for row in one[part] if DENSE in row["engine"]]
    table = tables_of(one)[-1]
    assert table[0][1:] == ["ms a sentence", "95%", "tokens/s", "to fairseq", "which is"]
    assert [row[0] for row in table[1:]] == list(KINDS)
    assert table[1][-2:] == ["1.00x", "itself"] and table[3][-2:] == ["10.00x", "faster"]
