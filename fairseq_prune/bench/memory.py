"""How much memory translating takes, each time in a process that does nothing else."""

import logging
import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection

import torch

from fairseq_prune.bench.engines import Batches, Fairseq
from fairseq_prune.bench.speed import Setting, batches_of
from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.exports.forms import read_folder
from fairseq_prune.exports.translator import Translator
from fairseq_prune.files.memory import peak_resident, reset_peak


def peak_of_fairseq(
    checkpoint: str, settings: Settings, sparse: bool, setting: Setting, sentences: int,
    threads: int,
) -> int | None:  # fmt: skip
    """The most bytes that a process held while it translated, with torch and fairseq.

    It is a copy of this process, which must not have opened a model or computed before: its memory,
    and threads that it has, would be in the copy.

    Args:
        sentences: how many of the test set.

    None where the system does not say it, or the checkpoint cannot be opened.
    """
    if peak_resident() is None:
        return None
    processes = multiprocessing.get_context("fork")
    receiving, sending = processes.Pipe(duplex=False)
    arguments = (checkpoint, settings, sparse, setting, sentences, threads, sending)
    process = processes.Process(target=_translate, args=arguments)
    process.start()
    sending.close()
    try:
        peak: int | None = receiving.recv()
    except EOFError:
        peak = None
    finally:  # after Ctrl-C it would go on
        process.kill()
        process.join()
        receiving.close()
    return peak


def _translate(
    checkpoint: str, settings: Settings, sparse: bool, setting: Setting, sentences: int,
    threads: int, answers: "Connection[int | None, None]",
) -> None:  # fmt: skip
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that waits
    # a thread of the other process may have held the lock of a stream; who builds the engine says
    # the same again
    logging.disable(logging.CRITICAL)
    sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    torch.set_num_threads(threads)
    try:
        engine = Fairseq(checkpoint, settings, sparse)
    except ValueError:
        answers.send(None)  # who builds the engine says why
        return
    size = min(sentences, len(engine.data))
    lengths = [int(engine.data.num_tokens(number)) for number in range(size)]
    reset_peak()
    engine.translate(batches_of(lengths, setting.batch), setting.beam)
    answers.send(peak_resident())


def peak_of_ctranslate2(
    folder: str, sentences: Sequence[list[str]], batches: Batches, beam: int, most: int,
    threads: int,
) -> int | None:  # fmt: skip
    """The same of a process with CTranslate2 alone.

    Args:
        most: tokens of a translation.
    """
    with Translator(folder, False, threads, read_folder(folder).has_shortlist) as translator:
        translator.reset_peak()
        for batch in batches:
            translator.translate([sentences[number] for number in batch], beam, most, 1.0)
        return translator.peak()
