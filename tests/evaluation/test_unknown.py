"""Unknown words match nothing, wherever translations are scored."""

from pathlib import Path
from typing import Any

import pytest
import torch
from sacrebleu.metrics import BLEU, CHRF

from fairseq_prune.evaluation import results
from fairseq_prune.evaluation.evaluate import evaluate
from fairseq_prune.evaluation.scores import score, tokenized_bleu
from fairseq_prune.evaluation.sentences import Sentence, read_sentences
from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.evaluation.unknown import count_unknown, unmatched
from fairseq_prune.report.bootstrap import SIGNATURE, Bootstrap
from fairseq_prune.report.by_sentence import Bucket, bleu, changes
from fairseq_prune.report.measures import measure
from fairseq_prune.report.outputs import Output, Reference
from fairseq_prune.report.points import read_points
from tests.conftest import ARCHES, TRAINING, run, train_here
from tests.report.rows import add_texts, row

TARGETS = ["the <<unk>> sat on the mat .", "a dog is <<unk>> in the <<unk>> garden now ."]
COLLAPSED = ["<unk> <unk> <unk> <unk> <unk>", "<unk> dog is <unk> <unk>"]


def spelled(lines: list[str], *words: str) -> list[str]:
    """Unknown words of translations, and of references, as words that nothing has."""
    return [line.replace("<<unk>>", words[1]).replace("<unk>", words[0]) for line in lines]


def test_a_score_is_that_of_words_that_nobody_has() -> None:
    found = score(COLLAPSED, TARGETS)
    texts = spelled(COLLAPSED, "Ψ", "Ω"), spelled(TARGETS, "Ψ", "Ω")
    assert found.bleu == BLEU().corpus_score(texts[0], [texts[1]]).score
    assert found.chrf == CHRF().corpus_score(texts[0], [texts[1]]).score
    assert found.bleu < BLEU().corpus_score(COLLAPSED, [TARGETS]).score
    assert found.length_ratio == 10 / 17  # an unknown word is one word


@pytest.mark.parametrize("reference", ["<<unk>> <<unk>> <<unk>> <<unk>>", "<unk> unk < unk >"])
def test_nothing_but_unknown_words_has_no_match(reference: str) -> None:
    found = score(["<unk> <unk> <unk> <unk>"], [reference])
    assert (found.bleu, found.chrf) == (0.0, 0.0)
    assert tokenized_bleu(["<unk> <unk> <unk> <unk>"], [reference])[0] == 0.0


def test_a_character_of_the_reference_stands_for_no_unknown_word() -> None:
    references = ["a ⁇ b \N{REPLACEMENT CHARACTER} c", "d <<unk>>"]
    made, against = unmatched(["<unk> ⁇", "\ue001 <unk>"], references)
    (first, second), last = made[0].split(), against[1].split()[1]
    assert second == "⁇"  # a word like any other
    assert first not in "".join(against)
    assert last not in "".join(made)


def test_it_is_done_once() -> None:
    once = unmatched(COLLAPSED, TARGETS)
    assert unmatched(*once) == once
    assert unmatched(["a <b> c"], ["unk"]) == (["a <b> c"], ["unk"])


def test_unknown_words_inside_others_count() -> None:
    assert count_unknown(["a<unk>s <<unk>>", "unk <un k>", "<unk>"]) == 3


# ---------------------------------------------------------------- in a run of fairseq
@pytest.fixture(scope="module")
def unknowing(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Data whose test set has words that the dictionary lacks, and a model of little else."""
    folder = tmp_path_factory.mktemp("unknowing")
    (folder / "test.de").write_text("ab ba ca\nnew ab ba\nda\n")
    (folder / "test.en").write_text("CA BA AB\nBA AB NEW\nDA\n")
    run(
        "fairseq-preprocess", "-s", "de", "-t", "en", "--srcdict", corpus / "dict.de.txt",
        "--joined-dictionary", "--testpref", folder / "test", "--destdir", folder / "bin",
    )  # fmt: skip
    train_here([corpus, *ARCHES["lstm"], *TRAINING, "--save-dir", folder, "--max-update", 1])
    saved = torch.load(folder / "checkpoint_last.pt", weights_only=False)
    saved["model"]["decoder.fc_out.bias"][3] = 4.0  # <unk>
    torch.save(saved, folder / "unknowing.pt")
    return folder / "bin", folder / "unknowing.pt"


def test_a_row_counts_them_and_its_texts_have_its_scores(
    unknowing: tuple[Path, Path], tmp_path: Path
) -> None:
    data, checkpoint = unknowing
    settings = Settings(data=str(data), valid_subset=None, cpu=True, max_len_b=4)
    output = str(tmp_path / "results.jsonl")
    ((made, _),) = evaluate([str(checkpoint)], settings, None, output)
    lines = (tmp_path / made["hypotheses"]).read_text().splitlines()
    references = [s.reference for s in read_sentences(tmp_path / made["sentences_file"])]
    assert made["unknown_words"] == sum(line.count("⁇") for line in lines) > 5
    assert made["unknown_reference_words"] == 1
    assert (made["bleu"], made["chrf"]) == (
        BLEU().corpus_score(lines, [references]).score,
        CHRF().corpus_score(lines, [references]).score,
    )
    ((_, known),) = evaluate([str(checkpoint)], settings, None, output)
    assert known


def test_what_an_older_version_scored_is_scored_again(
    unknowing: tuple[Path, Path], tmp_path: Path
) -> None:
    data, checkpoint = unknowing
    settings = Settings(data=str(data), valid_subset=None, cpu=True, max_len_b=4)
    output = tmp_path / "results.jsonl"
    ((made, _),) = evaluate([str(checkpoint)], settings, None, str(output))
    old = {k: v for k, v in made.items() if not k.startswith("unknown")} | {"bleu": 50.0}
    output.write_text(results.line_of(old))
    path = tmp_path / made["hypotheses"]
    path.write_text(path.read_text().replace("⁇", "<unk>"))
    ((again, known),) = evaluate([str(checkpoint)], settings, None, str(output))
    assert not known and again["bleu"] == made["bleu"]
    # without unknown words the old scores are right
    output.write_text(results.line_of(old))
    ((same, known),) = evaluate([str(checkpoint)], settings, None, str(output))
    assert known and same["bleu"] == 50.0


# ---------------------------------------------------------------- in a report
def test_a_report_computes_what_evaluate_does() -> None:
    base = [line.replace("<<unk>>", "cat") for line in TARGETS]
    found = Bootstrap(base, TARGETS).compare(COLLAPSED)
    assert (found.bleu, found.base) == (score(COLLAPSED, TARGETS).bleu, score(base, TARGETS).bleu)
    sentences = [Sentence("s", target, 2, 1) for target in TARGETS]
    reference = Reference("test", sentences, "")
    output, dense = Output(COLLAPSED, "", reference), Output(base, "", reference)
    assert bleu(output, Bucket(1, 1, [1])) == score(COLLAPSED[1:], TARGETS[1:]).bleu
    for change in changes(dense, output):
        k = change.number - 1
        text, target = spelled([COLLAPSED[k]], "Ψ", "Ω"), spelled([TARGETS[k]], "Ψ", "Ω")
        assert change.pruned_chrf == CHRF().sentence_score(text[0], target).score


def study(folder: Path, **more: Any) -> Path:
    sentences = [Sentence("s", target, 2, 1) for target in TARGETS]
    path = folder / "results.jsonl"
    for one, lines in ((row("dense", None, 0.0, 0.0), TARGETS),
                       (row("pruned", "class-blind", 0.5, 0.0), COLLAPSED)):  # fmt: skip
        add_texts(path, one | more, lines, sentences)
    return path


def test_old_scores_are_named_and_no_old_test_is_taken_up(tmp_path: Path) -> None:
    path = study(tmp_path)
    rows = [r | {"bleu": 99.0} if r["scheme"] else r for r in results.read(path)]
    path.write_text("".join(map(results.line_of, rows)))
    numbers = measure(read_points([path]))
    old = "An older version scored "
    assert any(note.startswith(old) and "evaluate again" in note for note in numbers.notes)
    kept = (tmp_path / "bootstrap.jsonl").read_text()
    assert f'"{SIGNATURE}|unknown:unmatched"' in kept


def test_new_scores_are_no_old_ones(tmp_path: Path) -> None:
    path = study(tmp_path, unknown_words=7)
    numbers = measure(read_points([path]))
    assert numbers.notes == []
    (comparison,) = numbers.tests.each.values()
    assert comparison.bleu == score(COLLAPSED, TARGETS).bleu
