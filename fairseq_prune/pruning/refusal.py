"""How we say no inside fairseq's programs, and what is asked for where we are wrong ourselves."""

import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata

from fairseq_prune import __version__
from fairseq_prune.files.text import first_line, this_command
from fairseq_prune.network.classes import paper_class


class Refusal(SystemExit, ValueError):
    """Ends fairseq's programs with its sentence; ours catch the ValueError that it is too.

    Args:
        sentence: what is wrong, and what to do.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(f"fairseq_prune: {sentence}")
        self.sentence = sentence


@contextmanager
def one_sentence() -> Iterator[None]:
    """Makes a ValueError a Refusal: no traceback of fairseq's program."""
    try:
        yield
    except Refusal:
        raise
    except ValueError as error:
        raise Refusal(str(error)) from None


_MISFIT = re.compile(r"size mismatch for (\S+): .*?Size\(\[(.*?)\]\).*?Size\(\[(.*?)\]\)")
_LEFT_OVER = re.compile(r'(Missing|Unexpected) key\(s\) in state_dict: "([^"]+)"')
_OF_WORDS = ("softmax", "-embedding")  # classes whose rows are a dictionary's


def reason_of(error: BaseException) -> str:
    """Why something failed, without the full stop: the first line of what the error says.

    Where tensors do not fit a model, torch lists all below that line: the first of them, with both
    sizes, and what is probably the matter.
    """
    text = str(error).strip()
    misfits, left_over = _MISFIT.findall(text), _LEFT_OVER.search(text)
    if not misfits and not left_over:
        return first_line(error)
    if not misfits:
        assert left_over is not None
        lacks = left_over[1] == "Missing"
        what = "has no" if lacks else "has"
        why = "which the model has" if lacks else "for which the model has no place"
        return f"the checkpoint {what} {left_over[2]}, {why}: {_ANOTHER}"
    words = [fit for fit in misfits if paper_class(fit[0]).endswith(_OF_WORDS)]
    name, there, here = (words or misfits)[0]
    is_dictionary = bool(words) and there.partition(",")[2] == here.partition(",")[2]
    more = f" (and {len(misfits) - 1} more do not fit)" if len(misfits) > 1 else ""
    return (
        f"{name} is ({there}) in the checkpoint and ({here}) in the model{more}: "
        f"{_DICTIONARY if is_dictionary else _ANOTHER}"
    )


_ANOTHER = "it is of another architecture, or of other sizes, than its settings or the flags say"
_DICTIONARY = (
    "the dictionary in the data is probably not that of the model; give the folder that it was "
    "trained on"
)


def what_to_send() -> str:
    """The line below the traceback of a bug of ours."""
    versions = [f"fairseq_prune {__version__}", f"Python {platform.python_version()}"]
    versions += [f"{name} {_version(name)}" for name in ("torch", "fairseq")]
    return (
        "fairseq_prune: this is a bug; send the lines above and this one to the maintainers of "
        f"fairseq_prune: {', '.join(versions)}; {this_command()}"
    )


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing"
