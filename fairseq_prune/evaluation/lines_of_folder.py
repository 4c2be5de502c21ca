"""Lines translated with a folder of CTranslate2, which needs no data."""

import torch
from fairseq.data.data_utils import post_process

from fairseq_prune.evaluation.decode_folder import best_of
from fairseq_prune.evaluation.lines import BATCH, LineTranslator, batches_of
from fairseq_prune.evaluation.segmentation import Cutter, Segmentation
from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.exports.ctranslate_folder import pieces_in
from fairseq_prune.exports.folder import Folder
from fairseq_prune.exports.forms import read_folder
from fairseq_prune.exports.pieces import find_models
from fairseq_prune.exports.translator import Translator
from fairseq_prune.tasks.own import folders_of

_UNKNOWN = "<unk>"
_NOT_TEXT = ("<s>", "</s>")  # fairseq leaves them out of a line, too


def opened(model: str, settings: Settings, segmentation: Segmentation) -> "FolderLines":
    """A folder of CTranslate2.

    Raises ValueError, one sentence, where it, the data that are given and the settings do not go
    together, or CTranslate2 cannot load it.
    """
    folder = read_folder(model)
    if settings.max_tokens is not None:
        raise ValueError(
            f"--max-tokens {settings.max_tokens} is of fairseq's batches; with the folder {model} "
            "give --batch-size."
        )
    languages = _languages(folder, settings)
    found = pieces_in(model)
    if settings.data:
        settings.check_decoding()
        languages = folder.check_data(settings.given())
        data = folders_of(settings.data)[0]
        found = found or find_models(data, languages, folder.vocabularies)
    cutter = segmentation.cutter(languages, folder.vocabularies, found, model)
    return FolderLines(folder, cutter, settings)


def _languages(folder: Folder, settings: Settings) -> tuple[str, str]:
    """Source and target: the folder's; raises ValueError where the flags name others."""
    own = folder.languages
    asked = settings.source_lang, settings.target_lang
    if own is None:  # an early version
        return asked[0] or "en", asked[1] or "en"
    if any(one not in (None, other) for one, other in zip(asked, own, strict=True)):
        named = " to ".join(one or other for one, other in zip(asked, own, strict=True))
        raise ValueError(f"{folder.path} translates {' to '.join(own)}, not {named}.")
    return own


class FolderLines(LineTranslator):
    """Translates lines with CTranslate2."""

    def __init__(self, folder: Folder, cutter: Cutter, settings: Settings) -> None:
        super().__init__(folder.path, cutter, folder.positions[0])
        self._folder, self._settings = folder, settings
        cuda = torch.cuda.is_available() and not settings.cpu
        threads = torch.get_num_threads()
        self._translator = Translator(folder.path, cuda, threads, folder.has_shortlist)
        self._known = set(folder.vocabularies[0])

    def search(self, sentences: list[list[str]]) -> list[str]:
        """By CTranslate2's beam search, with fairseq's limits of length."""
        found, lengths = [""] * len(sentences), [len(tokens) for tokens in sentences]
        for numbers in batches_of(lengths, self._settings.batch_size or BATCH):
            # as fairseq calls what the dictionary has not: a shortlist goes by the name
            batch = [
                [word if word in self._known else _UNKNOWN for word in sentences[number]]
                for number in numbers
            ]
            best = best_of(self._translator, self._folder, self._settings, batch)
            for number, words in zip(numbers, best, strict=True):
                text = " ".join(word for word in words if word not in _NOT_TEXT)
                found[number] = post_process(text, self._settings.remove_bpe)
        return found

    def close(self) -> None:
        """End CTranslate2's process."""
        self._translator.close()
