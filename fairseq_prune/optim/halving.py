"""A learning rate that is halved again and again, once some epochs are over."""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from fairseq.dataclass import FairseqDataclass
from fairseq.optim.lr_scheduler import FairseqLRScheduler, register_lr_scheduler
from omegaconf import II

from fairseq_prune.pruning.refusal import Refusal


@dataclass
class HalvingConfig(FairseqDataclass):
    """The flags of ``--lr-scheduler halving``."""

    halve_after: str = field(
        default="8",
        metadata={"help": "epochs after which the learning rate is halved first; 1 or more"},
    )
    halve_every: str = field(
        default="1",
        metadata={"help": "epochs from one halving to the next, such as 1, 0.5 or 1/3"},
    )
    lr: list[float] = II("optimization.lr")


@register_lr_scheduler("halving", dataclass=HalvingConfig)
class HalvingLRSchedule(FairseqLRScheduler):
    """lr / 2^k, k the halvings so far (Luong et al. 2015, section 4.1; See et al. 2016).

    Dense: lr 1, 12 epochs, --halve-after 8 --halve-every 1 (the ninth is at 1/2, the last at
    1/16). Retraining: lr 0.5, 4 epochs, --halve-after 2 --halve-every 0.5.

    fairseq tells a scheduler which epoch begins and how many updates are done, and not how long
    an epoch is. That of the last whole epoch serves for the next; epochs themselves begin exactly
    where they begin, so that an error (--update-freq by epoch, say) is gone with the next.

    Raises Refusal for flags that make no sense.
    """

    def __init__(self, cfg: Any, optimizer: Any) -> None:
        super().__init__(cfg, optimizer)
        self._after = _epochs("--halve-after", cfg.halve_after)
        self._every = _epochs("--halve-every", cfg.halve_every)
        if self._after < 1:
            raise Refusal(
                f"--halve-after {cfg.halve_after} is below 1: how long an epoch is, is known when "
                "the first is over; give 1 or more."
            )
        if len(cfg.lr) != 1:
            raise Refusal(f"--lr {list(cfg.lr)} must be one number: the rest is halving.")
        self._lr = float(cfg.lr[0])
        self._updates = 0
        self._epoch = 1
        self._start = 0  # the update that the epoch began with
        self._length = 0  # updates of the last whole epoch; 0: not known

    def halvings(self) -> int:
        """How often the learning rate is halved by now."""
        beyond = self._epochs_done() - self._after
        return 0 if beyond < 0 else 1 + beyond // self._every

    def step_begin_epoch(self, epoch: int) -> float:
        """The learning rate with which an epoch begins, or goes on after a new start."""
        if epoch > self._epoch:
            self._length = (self._updates - self._start) // (epoch - self._epoch)
            self._epoch, self._start = epoch, self._updates
        return self.step_update(self._updates)

    def step_update(self, num_updates: int) -> float:
        """The learning rate after so many updates."""
        self._updates = num_updates
        self.optimizer.set_lr(self._lr * 0.5 ** self.halvings())
        rate: float = self.optimizer.get_lr()
        return rate

    def state_dict(self) -> dict[str, Any]:
        """Where the epoch began and how long the last one was."""
        places = {"epoch": self._epoch, "start": self._start, "length": self._length}
        return {**super().state_dict(), **places}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """What was saved; a stripped checkpoint has nothing."""
        self.best = state_dict.get("best")
        self._epoch = int(state_dict.get("epoch", self._epoch))
        self._start = int(state_dict.get("start", self._start))
        self._length = int(state_dict.get("length", self._length))

    def _epochs_done(self) -> Fraction:
        if not self._length:
            return Fraction(self._epoch - 1)
        here = min(self._updates - self._start, self._length - 1)
        return self._epoch - 1 + Fraction(max(0, here), self._length)


def _epochs(flag: str, text: Any) -> Fraction:
    try:
        value = Fraction(str(text))
    except (ValueError, ZeroDivisionError):
        value = Fraction(0)
    if value <= 0:
        raise Refusal(f"{flag} {text} must be a number of epochs above 0, such as 1 or 0.5.")
    return value
