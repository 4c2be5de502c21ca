"""Decoding with an LSTM in 8 bits: everything but the network is fairseq's own."""

from argparse import Namespace
from typing import Any

from fairseq_prune.checkpoints.storage import CheckpointError
from fairseq_prune.evaluation.decode import Decoder
from fairseq_prune.evaluation.decode_folder import task_for
from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.exports.forms import read_folder, task_of
from fairseq_prune.exports.int8.folder import LISTS, Int8Folder
from fairseq_prune.exports.int8.lists import WordLists, lists_in
from fairseq_prune.exports.int8.network import network_in
from fairseq_prune.exports.int8.search import narrowed
from fairseq_prune.tasks.loaded import Loaded


class Int8Decoder(Decoder):
    """Translates and scores with one exported folder after another, on the CPU.

    Args:
        settings: what and how, as of :class:`~fairseq_prune.evaluation.decode.Decoder`.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.cuda = False
        self._lists: WordLists | None = None

    def open(self, checkpoint: str) -> None:
        """Load a folder; it is what the other methods use.

        Raises ValueError where it, the data and the settings do not go together.
        """
        self.own = task_of(checkpoint, self.settings.model_overrides)
        self.settings.check_task(self.own, "fairseq_prune")
        self.close()
        folder: Any = read_folder(checkpoint)
        config, task = task_for(folder, self.cfg.task, self.settings)
        network = network_in(folder, (task.source_dictionary, task.target_dictionary))
        # fairseq-generate's own criterion, cross-entropy, gives the perplexity
        saved = Namespace(task=config, criterion=self.cfg.criterion)
        self._scoring = self._translating = Loaded([network], saved, task)
        self._check_languages()
        self._lists = _lists_of(folder, (task.source_dictionary, task.target_dictionary))

    def generator(self, beam: int | None = None) -> Any:
        """fairseq's search, which gets only the words that it can choose from."""
        return narrowed(super().generator(beam), self._lists)

    @property
    def engine(self) -> dict[str, Any]:
        """What a row of results says of the program that translates."""
        return {**super().engine, "engine": "fairseq, torch int8"}


def _lists_of(folder: Int8Folder, dictionaries: tuple[Any, Any]) -> WordLists | None:
    """The lexical shortlist of a folder; None where it has none.

    Raises CheckpointError where it is damaged.
    """
    tensors = folder.lists()
    if tensors is None:
        return None
    try:
        return lists_in(tensors, (len(dictionaries[0]), len(dictionaries[1])))
    except ValueError as error:
        raise CheckpointError(f"{folder.path}/{LISTS} is damaged: {error}.") from None
