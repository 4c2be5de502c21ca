"""What is said of tensors that do not fit a model: which, their sizes, and what is the matter."""

import pytest
from torch import nn

from fairseq_prune.pruning.refusal import reason_of


class Net(nn.Module):
    """As wide and with as many words as asked."""

    def __init__(self, words: int, width: int, layers: int) -> None:
        super().__init__()
        self.encoder = nn.ModuleDict({"embed_tokens": nn.Embedding(words, width)})
        self.decoder = nn.ModuleDict({f"fc{n}": nn.Linear(width, width) for n in range(layers)})


@pytest.mark.parametrize(
    ("here", "said"),
    [
        (
            (9, 4, 1),
            "encoder.embed_tokens.weight is (7, 4) in the checkpoint and (9, 4) in the model: the "
            "dictionary in the data is probably not that of the model; give the folder that it was "
            "trained on",
        ),
        (
            (9, 6, 1),
            "encoder.embed_tokens.weight is (7, 4) in the checkpoint and (9, 6) in the model (and "
            "2 more do not fit): it is of another architecture, or of other sizes, than its "
            "settings or the flags say",
        ),
        (
            (7, 4, 2),
            "the checkpoint has no decoder.fc1.weight, which the model has: it is of another "
            "architecture, or of other sizes, than its settings or the flags say",
        ),
        (
            (7, 4, 0),
            "the checkpoint has decoder.fc0.weight, for which the model has no place: it is of "
            "another architecture, or of other sizes, than its settings or the flags say",
        ),
    ],
)
def test_the_first_that_does_not_fit_is_named(here: tuple[int, int, int], said: str) -> None:
    with pytest.raises(RuntimeError) as caught:
        Net(*here).load_state_dict(Net(7, 4, 1).state_dict())
    assert reason_of(caught.value) == said


def test_other_errors_are_said_in_their_first_line() -> None:
    assert reason_of(ValueError("It is so.\nAnd more.")) == "It is so"
    assert reason_of(AssertionError()) == "AssertionError"
