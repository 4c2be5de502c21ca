"""Paired bootstrap against sacreBLEU's own class and command line."""

import json
import random
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sacrebleu.metrics import BLEU
from sacrebleu.significance import PairedTest

from fairseq_prune.report import bootstrap
from fairseq_prune.report.bootstrap import Bootstrap, Comparison, Task, compare_all

WORDS = "the a big cat dog house sees eats likes green old new & or in of ' - .".split()


def texts(count: int, harm: float, seed: int) -> tuple[list[str], list[str]]:
    """References, and systems that say another word with probability ``harm``."""
    draw = random.Random(seed)
    references = [" ".join(draw.choices(WORDS, k=draw.randint(3, 15))) for _ in range(count)]
    change = random.Random(seed + harm)
    return references, [
        " ".join(change.choice(WORDS) if change.random() < harm else w for w in line.split())
        for line in references
    ]


def systems(count: int) -> tuple[list[str], dict[str, list[str]]]:
    """References and systems: better, worse, the same, one sentence apart, short, nothing."""
    references, dense = texts(count, 0.1, 1)
    made = {f"harm {h}": texts(count, h, 1)[1] for h in (0.05, 0.12, 0.15, 0.5)}
    made["the same"] = dense
    made["one sentence apart"] = ["no", *dense[1:]]
    made["half of each"] = [line[: len(line) // 2] for line in dense]
    made["nothing"] = [""] * count
    made["nothing right"] = ["x y z q"] * count
    return references, {"dense": dense, **made}


@pytest.mark.parametrize("count", [1, 60])
def test_p_is_that_of_sacrebleus_paired_test_to_the_last_bit(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SACREBLEU_SEED", raising=False)
    references, named = systems(count)
    test = PairedTest(
        list(named.items()),
        {"BLEU": BLEU(references=[references])},
        None,
        test_type="bs",
        n_samples=bootstrap.SAMPLES,
    )
    signatures, expected = test()
    ours = Bootstrap(named["dense"], references)
    for name, result in zip(list(named)[1:], expected["BLEU"][1:], strict=True):
        found = ours.compare(named[name])
        assert (found.bleu, found.p) == (result.score, result.p_value), name  # type: ignore[union-attr]
        assert found.base == expected["BLEU"][0].score  # type: ignore[union-attr]
    if count > 1:
        assert str(signatures["BLEU"]) == bootstrap.SIGNATURE


def test_p_is_what_sacrebleus_command_line_prints(tmp_path: Path) -> None:
    references, named = systems(50)
    files = []
    for name, lines in [("ref", references), *list(named.items())[:4]]:
        files.append(tmp_path / f"{name}.txt")
        files[-1].write_text("".join(line + "\n" for line in lines))
    said = subprocess.run(
        [sys.executable, "-m", "sacrebleu", files[0], "-i", *files[1:], "-m", "bleu",
         "--paired-bs", "--paired-bs-n", str(bootstrap.SAMPLES), "--format", "json"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    printed = [entry["BLEU"]["p_value"] for entry in json.loads(said)][1:]
    ours = Bootstrap(named["dense"], references)
    assert printed == [ours.compare(lines).p for lines in list(named.values())[1:4]]
    assert len(set(printed)) > 1


def test_worse_asks_for_a_lower_score_too() -> None:
    references, named = systems(40)
    same = Bootstrap(named["dense"], references).compare(named["dense"])
    assert same.p < 0.05  # sacreBLEU's own answer
    assert not same.worse
    assert Comparison(bleu=1, base=2, p=0.049, low=-2, high=0).worse
    assert not Comparison(bleu=1, base=2, p=0.05, low=-2, high=0).worse
    assert not Comparison(bleu=3, base=2, p=0.01, low=0, high=2).worse


def test_the_interval_is_that_of_the_samples() -> None:
    references, named = systems(60)
    test = Bootstrap(named["dense"], references)
    same = test.compare(named["dense"])
    assert (same.low, same.high) == (0, 0)
    samples = test.samples(named["harm 0.15"])
    found, ends = samples.comparison, sorted(samples.differences)
    # a fortieth of the samples lies beyond each end
    assert sum(one < found.low for one in ends) == sum(one > found.high for one in ends) == 250
    assert found.low < found.difference < found.high
    # seeds that agree have the interval of one, seeds that lose and win alike one about zero
    assert bootstrap.pooled([samples, samples]) == found
    back = Bootstrap(named["harm 0.15"], references).samples(named["dense"])
    both = bootstrap.pooled([samples, back])
    assert both.low == both.high == both.difference == 0


def test_p_is_one_sided_in_effect_and_the_interval_is_not() -> None:
    normal = statistics.NormalDist(-1.8, 1.0)
    count = bootstrap.SAMPLES
    samples = np.array([normal.inv_cdf((i + 0.5) / count) for i in range(count)])
    one = bootstrap.Samples(Comparison(bleu=18.2, base=20.0, p=1.0, low=0, high=0), samples)
    found = bootstrap.pooled([one])
    one_sided = 1 - normal.cdf(0)
    assert one_sided == pytest.approx(0.036, abs=0.001)
    assert found.p == pytest.approx(one_sided, abs=0.003)
    assert found.worse and found.low < 0 < found.high


def test_many_processes_find_what_one_finds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    references, named = systems(12)
    tasks = [Task(named["dense"], references, list(named.values()))]
    alone = {(t, s): found.comparison for t, s, found in compare_all(tasks)}
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(bootstrap, "CHUNK", 4)
    monkeypatch.setattr(bootstrap.os, "sched_getaffinity", lambda _: {0, 1})
    together = {(t, s): found.comparison for t, s, found in compare_all(tasks)}
    assert together == alone and len(alone) == len(named)
    assert capsys.readouterr().err.startswith(f"paired bootstrap of {len(named)} systems")
