"""What fairseq-train reads, made by fairseq-preprocess."""

import subprocess
import sys
from pathlib import Path

from fairseq_prune.files.text import last_lines
from scripts.corpus.declaration import SPLITS, Vocabulary


def binarise(
    text: Path,
    output: Path,
    languages: tuple[str, ...],
    vocabulary: Vocabulary,
    log: Path,
    lock: int,
) -> None:
    """Write the binarised splits and dictionaries.

    Args:
        log: gets what fairseq-preprocess says.
        lock: the descriptor that holds the folder, for as long as fairseq-preprocess runs.

    Raises ValueError where it fails.
    """
    source, target = languages
    program = Path(sys.executable).parent / "fairseq-preprocess"
    words = [sys.executable, str(program), "-s", source, "-t", target, "--destdir", str(output)]
    for split in SPLITS:
        words += [f"--{split}pref", str(text / split)]
    words += _dictionary(vocabulary)
    with log.open("wb") as file:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, stdout=file, stderr=file, pass_fds=(lock,)
        )
    if done.returncode:
        raise ValueError(f"fairseq-preprocess failed; {log} ends: {' / '.join(last_lines(log, 3))}")


def _dictionary(vocabulary: Vocabulary) -> list[str]:
    """Flags that decide which tokens there are; sizes are kept, not filled up to a multiple."""
    words = ["--joined-dictionary"] if vocabulary.joint else []
    for side in ("src",) if vocabulary.joint else ("src", "tgt"):
        if vocabulary.most is not None:
            words += [f"--nwords{side}", str(vocabulary.most)]
        if vocabulary.least is not None:
            words += [f"--threshold{side}", str(vocabulary.least)]
    return [*words, "--padding-factor", "1"] if vocabulary.pieces is None else words
