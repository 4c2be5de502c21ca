"""Which architecture holds what is left of a checkpoint: fairseq's own, or one of this folder."""

from dataclasses import replace

from fairseq_prune.checkpoints.shrink import CutOut, plan
from fairseq_prune.checkpoints.widths import STOCK, is_said
from fairseq_prune.maths.structure import UNITS
from fairseq_prune.network.options import architecture, model_options
from fairseq_prune.network.units import Axis

_FUSED = "transformer_bert_fused"  # and its sizes, which begin like it
_OURS = {"bart" if ours == "shrunk_bart" else stock: ours for ours, stock in STOCK.items()}


def fitted(cut: CutOut) -> CutOut:
    """The cut with the architecture of ours that holds what is left of its family.

    Raises ValueError where what is left needs one of ours, and there is none for it.
    """
    strange = next((axis for axis in cut.axes if _is_cut(cut, axis) and not is_said(axis)), None)
    arch = architecture(cut.source.content) or "unknown"
    if strange is not None:
        raise ValueError(
            f"{cut.source.path} has units in {strange.name}, where no setting of {arch} that is "
            "known here says how many there are: what is left could not be opened; its zeros stay."
        )
    if cut.settings.arch is None:
        return cut
    from fairseq.models import ARCH_MODEL_NAME_REGISTRY  # takes seconds to load

    family = ARCH_MODEL_NAME_REGISTRY.get(arch, arch).removeprefix("shrunk_")
    ours = _OURS.get(family)
    if arch.startswith(_FUSED) or ours is None or not _fits(cut, ours):
        raise ValueError(_none_fits(cut, arch, ours))
    _check_alignments(cut, family)
    return replace(cut, settings=replace(cut.settings, arch=ours))


def _fits(cut: CutOut, ours: str) -> bool:
    return (
        ours != "shrunk_lstm"
        or "decoder.attention.output_proj.weight" in (cut.source.content["model"])
    )


def _none_fits(cut: CutOut, arch: str, ours: str | None) -> str:
    few = [axis for axis in cut.axes if axis.kind == "heads" and _is_cut(cut, axis)]
    what = "fewer heads than fit its width" if few else "layers of different widths"
    why = "has an attention" if ours == "shrunk_lstm" else f"is there for {arch}"
    lacking = f"fairseq has no setting for that, and no architecture of ours {why}"
    if ours == "shrunk_lstm":
        lacking = f"fairseq has no setting for that, and {ours} {why}, which this model has not"
    return f"{cut.source.path} would have {what}: {lacking}; {_instead(cut, bool(few))}."


def _check_alignments(cut: CutOut, family: str) -> None:
    """Raises ValueError where a model that aligns words would align others."""
    if family != "transformer_align":
        return
    layers = [axis for axis in cut.axes if axis.name.endswith(".encoder_attn.heads")]
    number = model_options(cut.source.content).get("alignment_layer")
    place = len(layers) - 1 if number is None else int(number)
    chosen = layers[place] if 0 <= place < len(layers) else None  # fairseq then aligns by none
    if chosen is not None and _is_cut(cut, chosen):
        raise ValueError(
            f"{cut.source.path} aligns words by the mean of heads of "
            f"{chosen.name.removesuffix('.heads')}, which would be another without some of them: "
            f"prune other heads (--prune-exclude {chosen.label}), or neurons (--prune-structure "
            "ffn)."
        )


def _is_cut(cut: CutOut, axis: Axis) -> bool:
    before, left = cut.counts[axis.name]
    return left < before


def _instead(cut: CutOut, few: bool) -> str:
    """What to do where only fairseq's own settings are there to say what is left."""
    kind = next((k for k in UNITS if k != "heads" and k in {a.kind for a in cut.axes}), None)
    alone = f"prune units of another kind, alone (--prune-structure {kind})"
    try:
        plan(cut.source, uniform=True, anyway=True)
    except ValueError:  # nothing would go
        return alone if few and kind else "its zeros stay"
    stays = "leaves the heads in place" if few else "leaves each layer as wide as the widest"
    return f"give --uniform, which {stays}" + (f", or {alone}" if few and kind else "")
