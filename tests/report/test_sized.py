"""Pruned models beside dense ones of their size."""

from pathlib import Path

from fairseq_prune.evaluation.sentences import Sentence
from fairseq_prune.report.measure_tables import sections_of, sized_table
from fairseq_prune.report.measures import measure
from fairseq_prune.report.points import read_points
from tests.report.rows import add_texts, row

SIZES = {"dense": 1000, "small": 210, ("retrained", 0.5): 550, ("retrained", 0.8): 212,
         ("retrained", 0.9): 120, ("pruned", 0.8): 212}  # fmt: skip


def results(folder: Path, seeds: tuple[str, ...]) -> Path:
    test = [Sentence(f"s {i}", f"the cat {i} sees a dog near {i + 1}", 3, 1) for i in range(30)]
    path = folder / "results.jsonl"
    for seed in seeds:
        for what, left in SIZES.items():
            stage, sparsity = what if isinstance(what, tuple) else (what, 0.0)
            one = row(stage, "class-blind" if sparsity else None, sparsity, 0.0, sha=seed)
            one |= {"parameters": 1000, "nonzero": left, "multiply_adds": [2000, 3 * left]}
            one["tags"] |= {"seed": seed, **({"name": "fifth"} if stage == "small" else {})}
            bad = {"small": 12, "retrained": 4, "pruned": 25}.get(stage, 0) + int(
                20 * sparsity
            ) // 9
            lines = [s.reference if i >= bad else "the the" for i, s in enumerate(test)]
            add_texts(path, one, lines, test)
    return path


def test_a_method_stands_beside_a_dense_model_with_as_much_that_it_has(tmp_path: Path) -> None:
    numbers = measure(read_points([results(tmp_path, ("1", "2"))]))
    head, *lines = sized_table(numbers)
    # 212 weights are hardly more than 210; what was not trained stands beside nothing
    at = {
        name: head.index(name) for name in ("as few", "% removed", "BLEU", "BLEU of it", "p, Holm")
    }
    assert [[line[i] for i in at.values()][:2] for line in lines] == [
        ["weights", "80"], ["multiply-adds", "80"]
    ]  # fmt: skip
    for line, match in zip(lines, numbers.sized, strict=True):
        (place,) = match.found
        found = match.tests.pooled[place]
        assert f"{found.difference:+.2f}" == line[head.index("difference")] and found.difference > 0
        assert line[head.index("compression")] == f"{1000 / 212:.2f}"
        assert line[at["p, Holm"]] == f"{min(1, 2 * found.p):.4f}"  # two equal p
        assert found.bleu - found.base == found.difference
        dense = numbers.tests.pooled[place]
        assert dense.base > found.base  # the dense model is another base
    assert "Beside small dense models" in [section.heading for section in sections_of(numbers)]
    again = measure(read_points([tmp_path / "results.jsonl"]))
    assert sized_table(again) == [head, *lines]


def test_without_counts_there_is_no_such_section(tmp_path: Path) -> None:
    path = results(tmp_path, ("1",))
    rows = path.read_text().replace("nonzero", "no").replace("multiply_adds", "m")
    path.write_text(rows.replace("parameters", "q"))
    assert len(sized_table(measure(read_points([path])))) == 1
