"""How much memory translating takes, each time in a process that does nothing else."""

import logging
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from fairseq_prune.bench.batches import Work
from fairseq_prune.bench.engines import ByCTranslate2, Engine
from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.exports.forms import read_folder
from fairseq_prune.exports.translator import Translator
from fairseq_prune.files.memory import peak_resident, reset_peak

Open = Callable[[str, Settings, int], Engine]  # of a path, with threads
# gives the most bytes that a process held while it translated; None where the system does not say
# it, or the engine cannot be opened
Peak = Callable[[Open, str, Work], int | None]


def peak_in_a_copy(open_: Open, path: str, work: Work) -> int | None:
    """In a copy of this process, with torch and fairseq.

    This process must not have opened a model or computed before: its memory, and threads that it
    has, would be in the copy.
    """
    if peak_resident() is None:
        return None

    def translate() -> int | None:
        torch.set_num_threads(work.threads)
        engine = open_(path, work.settings, work.threads)
        batches = work.batches(engine.lengths(work.sentences), engine.most)
        reset_peak()
        for batch in batches:
            engine.translate(batch, work.beam)
        return peak_resident()

    try:
        found: int | None = in_a_copy(translate)
    except ValueError:  # who builds the engine says why
        return None
    return found


def peak_by_ctranslate2(open_: Open, path: str, work: Work) -> int | None:
    """In a process with CTranslate2 alone."""
    try:
        found: int | None = in_a_copy(partial(_by_ctranslate2, path, work))
    except ValueError:
        return None
    return found


def _by_ctranslate2(path: str, work: Work) -> int | None:
    engine = ByCTranslate2(path, work.settings, work.threads)
    batches = work.batches(engine.lengths(work.sentences), engine.most)
    with Translator(path, False, work.threads, read_folder(path).has_shortlist) as translator:
        translator.reset_peak()
        for batch in batches:
            limits = engine.limits(batch)
            translator.translate(
                [engine.sentences[number] for number in batch.numbers], work.beam,
                limits["max_decoding_length"], 1.0, limits["min_decoding_length"],
            )  # fmt: skip
        return translator.peak()


def in_a_copy(function: Callable[[], Any]) -> Any:
    """What a function gives in a copy of this process, which ends with it: no memory and no threads
    of what it does are left here.

    Raises the ValueError that it raises, with its text.
    """
    processes = multiprocessing.get_context("fork")
    receiving, sending = processes.Pipe(duplex=False)

    def answer() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that waits
        # a thread of the other process may have held the lock of a stream
        logging.disable(logging.CRITICAL)
        sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        try:
            sending.send((function(), None))
        except ValueError as error:
            sending.send((None, str(error)))

    process = processes.Process(target=answer)
    process.start()
    sending.close()
    try:
        found, error = receiving.recv()
    except EOFError:
        error = "the process ended before it had done it; it may have had too little memory."
    finally:  # after Ctrl-C it would go on
        process.kill()
        process.join()
        receiving.close()
    if error is not None:
        raise ValueError(error)
    return found
