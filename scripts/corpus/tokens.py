"""Tokens of the Moses tokeniser, HTML-escaped, as the literature's tokenized BLEU has them."""

import multiprocessing
import multiprocessing.connection
import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from typing import Any

from fairseq_prune.files.needs import need

_CHUNK = 20_000  # sentences a process takes at a time
_tokenisers: dict[str, Any] = {}


def check() -> None:
    """Raises ValueError where the library is not there."""
    need("sacremoses", "this corpus")


def tokenised(
    pairs: Iterable[tuple[str, ...]], languages: tuple[str, ...]
) -> Iterator[tuple[str, ...]]:
    """The pairs as tokens between spaces, in order, on every core."""
    source = iter(pairs)
    # spawned: a worker that is left behind must not hold the lock of the folder
    context = multiprocessing.get_context("spawn")
    count = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(count, context, _end_with_parent) as pool:
        waiting = []
        while chunk := list(islice(source, _CHUNK)):
            waiting.append(pool.submit(_tokenise, chunk, languages))
            # a few ahead are enough to keep every core at work, and little memory
            if len(waiting) > 2 * count:
                yield from waiting.pop(0).result()
        for one in waiting:
            yield from one.result()


def _end_with_parent() -> None:
    """Have this worker end when the process that it works for is killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _tokenise(pairs: list[tuple[str, ...]], languages: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [
        tuple(
            _tokeniser(lang).tokenize(text, return_str=True)
            for text, lang in zip(pair, languages, strict=True)
        )
        for pair in pairs
    ]


def _tokeniser(language: str) -> Any:
    if language not in _tokenisers:
        from sacremoses import MosesTokenizer

        _tokenisers[language] = MosesTokenizer(language)
    return _tokenisers[language]
