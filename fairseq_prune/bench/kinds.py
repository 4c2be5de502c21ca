"""The engines that are measured, an entry each.

Adding one is an entry in :data:`KINDS`, and its name in ``bench.ENGINES`` where ``--engines`` shall
offer it. One that reads an export says how that is made and how its folder is known: a folder given
as a model is then measured in it, and checkpoints are exported for it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

from fairseq_prune.bench.csr import with_sparse_layers_
from fairseq_prune.bench.engines import ByCTranslate2, ByFairseq
from fairseq_prune.bench.memory import Open, Peak, in_a_copy, peak_by_ctranslate2, peak_in_a_copy
from fairseq_prune.checkpoints import storage
from fairseq_prune.evaluation.decode import Decoder
from fairseq_prune.evaluation.decode_int8 import Int8Decoder
from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.exports import CTRANSLATE2, INT8, QUANTIZATIONS, ctranslate
from fairseq_prune.exports.forms import CHECKPOINT, COMPACT, form_of, read_folder
from fairseq_prune.exports.int8 import export as int8
from fairseq_prune.exports.int8.conversion import KNOWN as LSTMS
from fairseq_prune.network.options import architecture
from fairseq_prune.tasks.own import members_of, read_task

Export = Callable[[str, Settings, str], None]  # of a checkpoint, to a folder that is not there


@dataclass(frozen=True)
class Kind:
    """An engine, as ``--engines`` names it.

    Args:
        name: of the engine; also of the form in which it has a model, where that is an export.
        open: gives it with a model: a checkpoint, or a folder where there is ``export``. Raises
            ValueError where it cannot take that.
        export: writes a checkpoint as the folder that it opens; None: it opens the checkpoint.
            Raises ValueError, one sentence, where the model has no such export.
        owns: whether a folder, which is an export, is one for it.
        fits: whether it is for a checkpoint's architecture; who names the engine is told why not.
        peak: measures its memory.
        like: another engine that gives the same translations, which are then made once; "" for
            none.
    """

    name: str
    open: Open
    export: Export | None = None
    owns: Callable[[str], bool] = lambda folder: False
    fits: Callable[[str], bool] = lambda checkpoint: True
    peak: Peak = peak_in_a_copy
    like: str = ""


def _fairseq(checkpoint: str, settings: Settings, threads: int) -> ByFairseq:
    return ByFairseq(Decoder(settings), checkpoint)


def _fairseq_csr(checkpoint: str, settings: Settings, threads: int) -> ByFairseq:
    engine = _fairseq(checkpoint, settings, threads)
    for model in engine.models:
        with_sparse_layers_(model)
    return engine


def _int8(folder: str, settings: Settings, threads: int) -> ByFairseq:
    return ByFairseq(Int8Decoder(settings), folder)


def _is_lstm(checkpoint: str) -> bool:
    return all(_architecture(member) in LSTMS for member in members_of(checkpoint))


@lru_cache(16)  # a file may be large
def _architecture(checkpoint: str) -> str | None:
    # this process keeps nothing of it: memory is measured in copies of it
    found: str | None = in_a_copy(lambda: architecture(storage.load(checkpoint)))
    return found


def _to_int8(checkpoint: str, settings: Settings, folder: str) -> None:
    _check_alone(checkpoint, settings, INT8)
    int8.convert(checkpoint, settings.data, folder)


def _is_int8(folder: str) -> bool:
    return form_of(folder) == INT8


def _to_ctranslate2(
    quantization: str | None, checkpoint: str, settings: Settings, folder: str
) -> None:
    if quantization is None:
        raise ValueError("a folder that does not say how its weights are stored has no like.")
    _check_alone(checkpoint, settings, "CTranslate2")
    ctranslate.convert(checkpoint, settings.data, folder, quantization)


def _check_alone(checkpoint: str, settings: Settings, program: str) -> None:
    """Raise ValueError where a checkpoint is more, or becomes something else, than its export."""
    if len(members_of(checkpoint)) > 1:
        raise ValueError(f"an ensemble is several models, and {program} has one at a time.")
    if settings.model_overrides is not None:
        raise ValueError(
            "--model-overrides replaces settings of a checkpoint, and its export has none."
        )
    own = read_task(checkpoint)
    if own.name not in (None, "translation"):
        raise ValueError(
            f"the task {own.name} decodes in a way of its own, and {program} in another."
        )


def _is_ctranslate2(quantization: str | None, folder: str) -> bool:
    return form_of(folder) == CTRANSLATE2 and read_folder(folder).quantization == quantization


def _ctranslate2(quantization: str | None) -> Kind:
    """CTranslate2 with its weights stored in one way; None where the folder does not say how."""
    return Kind(
        "ctranslate2" if quantization == "float32" else f"ctranslate2-{quantization or 'unknown'}",
        ByCTranslate2,
        partial(_to_ctranslate2, quantization),
        partial(_is_ctranslate2, quantization),
        lambda checkpoint: not _is_lstm(checkpoint),
        peak_by_ctranslate2,
    )


FAIRSEQ = Kind("fairseq", _fairseq)  # the model of --against is in it, whatever --engines says
KINDS = {
    kind.name: kind
    for kind in (
        FAIRSEQ,
        Kind("fairseq-csr", _fairseq_csr, like="fairseq"),
        Kind(INT8, _int8, _to_int8, _is_int8, _is_lstm),
        *map(_ctranslate2, (*QUANTIZATIONS, None)),
    )
}


def kind_of_folder(path: str) -> Kind | None:
    """The engine that a model is an export for; None for checkpoints and compact files."""
    if form_of(path) in (CHECKPOINT, COMPACT):
        return None
    return next(kind for kind in KINDS.values() if kind.owns(path))
