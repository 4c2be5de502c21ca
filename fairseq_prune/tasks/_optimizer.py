"""Where fairseq's optimizers keep their own copies of the model's parameters."""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from fairseq_prune.masks.hold import Holder, Slot, flat_slots
from fairseq_prune.network.weights import Weights
from fairseq_prune.pruning.penalty_run import Optimised

_LIFT_EVERY = 100  # updates; even a beta of 0.5 takes 1.0 to no less than 1e-30 in these


def slots_of(optimizer: Any) -> list[Slot]:
    """A slot for each parameter that a FairseqOptimizer updates.

    Covers plain optimizers, memory-efficient fp16, amp, and the fp32 masters of --fp16 in both
    layouts: one flat tensor a device, or a list (--fp16-no-flatten-grads, --bf16).
    """
    masters = getattr(optimizer, "fp32_params", None)
    if masters is None:
        return [Slot(p, p) for p in optimizer.params]
    parameters = list(optimizer.fp16_params)
    if isinstance(masters, Mapping):
        if len(masters) == 1:
            return flat_slots(parameters, next(iter(masters.values())))
        return [
            slot
            for device, flat in masters.items()
            for slot in flat_slots([p for p in parameters if p.device.index == device], flat)
        ]
    if isinstance(masters, Tensor):
        return flat_slots(parameters, masters)
    return [Slot(p, master) for p, master in zip(parameters, masters, strict=True)]


def trained_parameters(model: nn.Module) -> list[tuple[str, int]]:
    """Name and size of the model's parameters in the order in which its optimizer numbers them."""
    return [(name, p.numel()) for name, p in model.named_parameters() if p.requires_grad]


def parts_of(optimizer: Any, weights: Weights) -> Iterator[Optimised]:
    """Each weight as the optimizer updates it, once.

    Whatever is done to a part before the next one is asked for is copied to the model, where the
    part is an fp32 master.
    """
    by_id = {id(weight.tensor): weight for weight in weights.values()}
    plain = getattr(optimizer, "fp32_optimizer", optimizer)  # below fp16 and amp
    rates = {id(p): float(group["lr"]) for group in plain.param_groups for p in group["params"]}
    for slot in slots_of(optimizer):
        weight, tensor = by_id.get(id(slot.parameter)), slot.view(slot.optimised.detach())
        if weight is not None and tensor is not None:
            yield Optimised(weight, tensor, rates[id(slot.optimised)])
            if slot.optimised is not slot.parameter:
                slot.parameter.detach().copy_(tensor)


def state_of(optimizer: Any) -> Mapping[Any, Any]:
    """The torch optimizer's state: by optimised tensor, its moments."""
    return getattr(optimizer.optimizer, "state", {})


class Copies:
    """What an optimizer keeps of pruned weights: masters and moments, at zero.

    With one exception, in memory only: ``torch.sqrt`` of an exact zero takes ten times as long as
    of another number (CPU, MKL), and Adam takes the root of a moment of each weight. So while a
    run goes on these moments of pruned weights are near 1, which changes no weight (their
    gradient and first moment are zero), and they are zero in every file.
    """

    def __init__(self) -> None:
        self.optimizer: Any = None  # fairseq's, from the first update on
        self._zero = False  # whether all that can be read from the optimizer is known to be zero
        self._lifted = False

    def stale(self, known_zero: bool = False) -> None:
        """The masks have changed; ``known_zero`` where the file's optimizer state fits them."""
        self._zero, self._lifted = known_zero, False

    def zero(self, holder: Holder) -> None:
        """Zero all of it, unless it is so already."""
        if not self._zero:
            slots = slots_of(self.optimizer)
            holder.zero_masters_(slots)
            holder.zero_moments_(slots, state_of(self.optimizer))
        self._zero = True

    def hold(self, holder: Holder, step: int) -> None:
        """After an update: masters at zero, and second moments where roots are cheap."""
        slots = slots_of(self.optimizer)
        holder.zero_masters_(slots)
        # a sharded optimizer's state is gathered for saving before this class hears of it
        sharded = hasattr(self.optimizer.optimizer, "consolidate_state_dict")
        if not sharded and (not self._lifted or step % _LIFT_EVERY == 0):
            self._lifted = True
            self._zero &= not holder.lift_second_moments_(slots, state_of(self.optimizer))

    def zero_for_saving(self, holder: Holder) -> None:
        """Zero all of it before the optimizer's state is read; training lifts it again."""
        if self.optimizer is not None:
            self.zero(holder)
        self._lifted = False

    def violations(self, holder: Holder) -> dict[str, int]:
        """How many of its numbers about pruned weights are not zero, by what they are."""
        if self.optimizer is None:
            return {}
        slots, state = slots_of(self.optimizer), state_of(self.optimizer)
        return holder.optimizer_violations(slots, state, self._lifted)

    def second_moments(self, weights: Weights) -> dict[str, Tensor] | None:
        """Adam's ``exp_avg_sq`` of these weights by name; None where it has none of them.

        Raises ValueError where it has those of some only.
        """
        names = {id(weight.tensor): name for name, weight in weights.items()}
        state, found = state_of(self.optimizer), {}
        for slot in slots_of(self.optimizer):
            value = state.get(slot.optimised, {}).get("exp_avg_sq")
            part = None if value is None else slot.view(value)
            if part is not None and id(slot.parameter) in names:
                found[names[id(slot.parameter)]] = part
        lacking = [name for name in weights if name not in found]
        if found and lacking:
            raise ValueError(
                f"--prune-saliency obd-adam: {len(lacking)} of {len(weights)} weights have no "
                f"second moments of Adam yet, such as {lacking[0]}: they have had no gradient so "
                "far, as under layerdrop; give a later --prune-start."
            )
        return found or None
