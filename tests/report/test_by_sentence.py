"""Parts of a test set, and the sentences that changed."""

import sacrebleu

from fairseq_prune.evaluation.sentences import Sentence
from fairseq_prune.report.by_sentence import bleu, buckets, changes, length, rarity
from fairseq_prune.report.outputs import Output, Reference


def reference(*rows: tuple[str, int | None]) -> Reference:
    return Reference("r", [Sentence("s", text, 1, rarest) for text, rarest in rows], "d")


def test_buckets_hold_each_sentence_once_and_equal_numbers_together() -> None:
    lengths = [1, 5, 5, 5, 5, 5, 2, 9]
    test = reference(*((" ".join("x" * n), 0) for n in lengths))
    made = buckets(test, length)
    assert [(b.first, b.last, len(b.members)) for b in made] == [(1, 2, 2), (5, 5, 5), (9, 9, 1)]
    assert sorted(i for b in made for i in b.members) == list(range(8))


def test_a_test_set_in_four_even_parts() -> None:
    test = reference(*(("x", n) for n in range(100, 180)))
    assert [(b.first, b.last) for b in buckets(test, rarity)] == [
        (100, 119), (120, 139), (140, 159), (160, 179),
    ]  # fmt: skip


def test_what_cannot_be_parted_has_no_buckets() -> None:
    assert buckets(reference(("x", 3), ("y", 3)), rarity) == []
    assert buckets(reference(("x", None), ("y", None)), rarity) == []


def test_the_score_of_a_bucket_is_sacrebleus_of_its_sentences() -> None:
    test = reference(("the cat sat on the mat", 1), ("a b c d e f g h", 2), ("one two", 9))
    output = Output(["the cat sat on a mat", "a b c d e f g", "one"], "d", test)
    first = buckets(test, rarity)[0]
    lines, texts = [output.lines[0]], [[test.sentences[0].reference]]
    assert bleu(output, first) == sacrebleu.corpus_bleu(lines, texts).score


def test_the_ten_largest_changes_run_from_loss_to_gain() -> None:
    test = reference(*((f"sentence number {n} of the test set", 1) for n in range(14)))
    right = [s.reference for s in test.sentences]
    dense, pruned = list(right), list(right)
    pruned[3], dense[5], pruned[7] = "", "nothing", "sentence number 7 of the set"
    found = changes(Output(dense, "a", test), Output(pruned, "b", test))
    assert [change.number for change in found] == [4, 8, 6]
    assert found[0].difference == -100 and found[-1].difference > 80
    assert found[-1].pruned == right[5]
    lost = changes(Output(right, "a", test), Output([""] * 14, "b", test))
    assert [change.number for change in lost] == list(range(1, 11))
