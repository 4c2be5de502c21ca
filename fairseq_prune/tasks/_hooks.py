"""The mixin that puts pruning into a fairseq task: the only place that knows fairseq's hooks.

fairseq calls, in this order: setup_task, build_model, (the trainer loads the checkpoint),
begin_epoch, then train_step for each batch, optimizer_step once an update, begin_valid_epoch,
and state_dict for each checkpoint. No trainer, optimizer, model or criterion is subclassed.
"""

import weakref
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from torch import nn

from fairseq_prune.checkpoints.steps import STEPS_KEY
from fairseq_prune.checkpoints.storage import PRUNE_KEY
from fairseq_prune.pruning.penalty_flags import Penalty
from fairseq_prune.pruning.penalty_run import at_work
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.pruning.refusal import one_sentence
from fairseq_prune.tasks._ahead import check_ahead, next_action
from fairseq_prune.tasks._averages import follow
from fairseq_prune.tasks._backend import check_gradients
from fairseq_prune.tasks._bert_input import Readers
from fairseq_prune.tasks._draws import take_turns
from fairseq_prune.tasks._keep import keep_update
from fairseq_prune.tasks._layers import watch_saving
from fairseq_prune.tasks._length import (
    check_begins,
    check_length,
    last_update,
    most_updates,
)
from fairseq_prune.tasks._loading import taking_up, watch_loading
from fairseq_prune.tasks._optimizer import trained_parameters
from fairseq_prune.tasks._options import read_keep, read_options
from fairseq_prune.tasks._place import keep_place
from fairseq_prune.tasks._ranks import check_start, from_first_rank
from fairseq_prune.tasks._report import log_figures
from fairseq_prune.tasks._sample import sampler
from fairseq_prune.tasks._scores import count_scores, set_aside, start_anew
from fairseq_prune.tasks._session import Session
from fairseq_prune.tasks._settings import check_settings, in_step_of, root_of, save_as_stock
from fairseq_prune.tasks._start import (
    Start,
    check_pruned,
    check_same_model,
    check_source,
    start_of,
    warm_start,
)
from fairseq_prune.tasks._stopping import keep_stopping


class PruningHooks:
    """Mixin before a FairseqTask. Without prune flags every hook is the task's own."""

    stock_name: str  # the name under which plain fairseq knows the task
    session: Session
    cfg: Any
    datasets: dict[str, Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._readers = Readers()
        super().__init__(*args, **kwargs)
        self.session = Session(Recipe(), override=False)

    @classmethod
    def setup_task(cls, cfg: Any, **kwargs: Any) -> Any:
        """The task, its prune flags checked before anything is read or built."""
        with one_sentence():
            recipe, override = read_options(cfg)
            keep = read_keep(cfg)
            root = root_of(cfg)
            if recipe.active and root is not None:
                check_settings(root)
                check_begins(recipe, most_updates(root.optimization))
        task = _as(cls, super().setup_task(cfg, **kwargs))  # type: ignore[misc]
        task.session = Session(recipe, override, in_step_of(cfg))
        if keep is not None:
            keep_update(task, keep)
        return task

    def build_model(self, cfg: Any, from_checkpoint: bool = False) -> nn.Module:
        """The task's model; flags and masks that do not fit it are refused here."""
        model: nn.Module = super().build_model(cfg, from_checkpoint)  # type: ignore[misc]
        self._readers.add(model)
        if not from_checkpoint:
            keep_stopping()
            count_scores()
            take_turns()
            watch_loading()
            watch_saving()
            with one_sentence():
                start = start_of(self._checkpoint_config())
                check_start(start)
                self._check_folder(start)
                if start.path is None:
                    warm_start(model)
                self.session.check(model, start, cfg)
                self._check_gradients(model)
            follow(model, self.session.held.averages)
        return model

    def load_dataset(self, split: str, *args: Any, **kwargs: Any) -> Any:
        """The task's data set; its batches have what else the model reads."""
        result = super().load_dataset(split, *args, **kwargs)  # type: ignore[misc]
        self._readers.attach(self.datasets.get(split))
        return result

    def get_batch_iterator(self, *args: Any, **kwargs: Any) -> Any:
        """The task's iterator, whose place in the epoch any number of ranks finds again."""
        iterator = super().get_batch_iterator(*args, **kwargs)  # type: ignore[misc]
        return keep_place(iterator, kwargs.get("num_shards", 1))

    def penalise(self, penalty: Penalty) -> None:
        """Take a criterion's penalty on weights, checked against the prune flags."""
        config = self._config()
        root = root_of(config)
        rates = (config if root is None else root.optimization).lr
        with one_sentence():
            penalty.check(self.session.recipe, rates)
        self.session.penalty = at_work(penalty, self.session.recipe)

    def begin_epoch(self, epoch: int, model: nn.Module) -> None:
        """Before the first epoch, training begins, and what it will need is tried."""
        super().begin_epoch(epoch, model)  # type: ignore[misc]
        self.begin_training(model)
        if not self._begun and self._trainer() is not None:
            self._look_ahead(self._trainer())

    def begin_training(self, model: nn.Module) -> None:
        """The masks that training starts with, and a plain saved config; again changes nothing."""
        if self.session.model is None:
            with one_sentence():
                self.session.begin(model, start_of(self._checkpoint_config()))
                root = root_of(self._config())
                if self.session.holder is not None and root is not None:
                    check_settings(root)  # masks may come with the model, without any flag
            save_as_stock(self._config(), self.stock_name)
            self._look_at_scores()
            self._begun = False

    def train_step(
        self, sample: Any, model: Any, criterion: Any, optimizer: Any, update_num: int,
        *args: Any, **kwargs: Any,
    ) -> Any:  # fmt: skip
        """The task's own step, its gradients masked; the first one prunes if it is time."""
        if not self._begun:
            self._begun, self._updates = True, update_num
            # a rank without a batch of its own is given another's, whose gradient counts nothing
            self._more = {name: value for name, value in kwargs.items() if name != "ignore_grad"}
            self.session.sampler = self._sampler(criterion)
            with one_sentence():
                self.session.catch_up(update_num, optimizer)
            self._look_at_scores()
        result = super().train_step(  # type: ignore[misc]
            sample, model, criterion, optimizer, update_num, *args, **kwargs
        )
        if self.session.holder is not None:
            self.session.holder.zero_gradients_()
        return result

    def own_step(
        self, sample: Any, model: Any, criterion: Any, optimizer: Any, update_num: int
    ) -> Any:
        """The task's own step and nothing else, for a batch that weights are scored on."""
        return super().train_step(  # type: ignore[misc]
            sample, model, criterion, optimizer, update_num, **self._more
        )

    def optimizer_step(self, optimizer: Any, model: Any, update_num: int) -> None:
        """The optimizer's step, then masks; a schedule acts on the number of updates completed."""
        with taking_up(self.session.resumed):
            super().optimizer_step(optimizer, model, update_num)  # type: ignore[misc]
        self.session.resumed = None
        self._updates = update_num + 1
        with one_sentence():
            self.session.after_update(update_num + 1, optimizer)
        self._look_at_scores()

    def begin_valid_epoch(self, epoch: int, model: nn.Module) -> None:
        """Validation sees pruned weights at zero; the run ends if something has written them.

        Ranks compare their masks.
        """
        super().begin_valid_epoch(epoch, model)  # type: ignore[misc]
        with one_sentence():
            self.session.held.validate()
            if self.session.holder is not None:
                self.session.compare("at a validation")

    def reduce_metrics(self, logging_outputs: Any, criterion: Any) -> None:
        """The task's metrics, and the sparsity over all and by class, in per cent."""
        super().reduce_metrics(logging_outputs, criterion)  # type: ignore[misc]
        log_figures(self.session.penalty, self.session.held)

    def state_dict(self) -> dict[str, Any]:
        """The task's state and ours; what is being saved is looked at, and zeroed, first."""
        state = dict(super().state_dict())  # type: ignore[misc]
        state.pop(PRUNE_KEY, None)
        state.pop(STEPS_KEY, None)
        with one_sentence():
            self.session.held.zero_for_saving()
        ours, steps = self.session.state(), self.session.trail.state(self.session.recipe)
        return {**state, **({PRUNE_KEY: ours} if ours else {}), **steps}

    def begin_loop(self, cfg: Any, trainer: Any, iterator: Any) -> None:
        """Before each epoch of fairseq's training loop: is the run long enough for its schedule?"""
        if self._trainer() is None:
            self._trainer = weakref.ref(trainer)
            with one_sentence():
                check_length(self.session.recipe, last_update(cfg, trainer, iterator))

    # ------------------------------------------------------------------------------ private
    _begun = True
    _updates = 0  # completed
    _more: Mapping[str, Any] = MappingProxyType({})  # what fairseq's trainer gives to each step
    _trainer: Callable[[], Any] = staticmethod(lambda: None)

    def _look_ahead(self, trainer: Any) -> None:
        """What the schedule needs when it acts next is tried once, as of that update.

        Not within a step: fairseq's trainer writes crash.pt where one fails.
        """
        due = next_action(self.session.recipe, self.session.record.acted, trainer.get_num_updates())
        if due is not None:
            if trainer.cfg.ema.store_ema and getattr(self, "uses_ema", False):
                self._more = {"ema_model": trainer.ema.get_model()}
            self._updates = due
            self.session.sampler = self._sampler(trainer.criterion)
            with one_sentence():
                check_ahead(self.session, trainer.optimizer)

    def _look_at_scores(self) -> None:
        """Where the sparsity has moved, scores begin anew."""
        if not self.session.has_moved:
            return
        self.session.has_moved = False
        start_anew(self._trainer())
        with one_sentence():
            from_first_rank(
                lambda: set_aside(self._checkpoint_config().save_dir, self.session.recipe.settings)
            )

    def _config(self) -> Any:
        return self.args if getattr(self, "cfg", None) is None else self.cfg

    args: Any

    def _check_gradients(self, model: nn.Module) -> None:
        root = root_of(self._config())
        if root is not None and self.session.recipe.active:
            check_gradients(root, [name for name, _ in trained_parameters(model)])

    def _check_folder(self, start: Start) -> None:
        config = self._checkpoint_config()
        if self.session.recipe.active:
            from_first_rank(lambda: check_pruned(start, config))
            check_source(start, config)
        from_first_rank(lambda: check_same_model(start, config))

    def _checkpoint_config(self) -> Any:
        root = root_of(self._config())
        return self._config() if root is None else root.checkpoint

    def _sampler(self, criterion: Any) -> Any:
        root = root_of(self._config())
        data = self._config() if root is None else root.dataset
        model = self.session.model
        return model and sampler(self, model, criterion, data, updates=lambda: self._updates)


def _as(kind: type, task: Any) -> Any:
    """The task with our hooks, where its own set-up names its class (sentence_ranking's does)."""
    if not isinstance(task, PruningHooks):
        task.__class__ = kind
        task._readers = Readers()
    return task
