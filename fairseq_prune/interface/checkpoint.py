"""Checkpoints in Python: opened, pruned, shrunk, saved, exported, scored, and made to translate."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from fairseq_prune.checkpoints import shrink, storage
from fairseq_prune.checkpoints.apply import Views, apply_recipe, check_recipe, unread_data
from fairseq_prune.checkpoints.audit import Audit
from fairseq_prune.checkpoints.checkpoint import Opened, opened_of
from fairseq_prune.checkpoints.inspection import view
from fairseq_prune.checkpoints.record import Record
from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.exports import check_format, compact
from fairseq_prune.exports.forms import FOLDERS, write_folder
from fairseq_prune.exports.stripped import stripped
from fairseq_prune.interface.flags import check_names, name_of, names_of, recipe_of
from fairseq_prune.interface.translator import check_lines, open_translator, quiet
from fairseq_prune.masks.state import Masks
from fairseq_prune.pruning.summary import ClassRow, format_table
from fairseq_prune.tasks import opening
from fairseq_prune.tasks.own import Given
from fairseq_prune.tasks.verifying import check_expected, verified

_PRUNED = "pruned"


@dataclass(frozen=True)
class _Unsaved:
    """What was made of a checkpoint and is not saved yet.

    Args:
        done: what was done, in a word.
        record: what the file will say of the pruning.
        content: makes the whole checkpoint that :meth:`Checkpoint.save` writes.
    """

    done: str
    record: Record | None
    content: Callable[[], Mapping[str, Any]]


class Checkpoint:
    """A fairseq checkpoint; :func:`open_checkpoint` opens it. Printed, it is the table of its
    weight classes.

    :meth:`prune` and :meth:`shrink` give another one, which is in memory until :meth:`save` writes
    it.
    """

    def __init__(self, source: Opened, unsaved: _Unsaved | None = None) -> None:
        self._source, self._unsaved = source, unsaved

    @property
    def path(self) -> str:
        """The file; of a checkpoint that is not saved yet, the one that it was made of."""
        return self._source.path

    @property
    def weights(self) -> Mapping[str, Tensor]:
        """The weights that can be pruned, ``(out, in)`` by name; unsaved pruning is not in them."""
        return self._source.tensors

    @property
    def classes(self) -> Mapping[str, str]:
        """The weight class of each weight, by name."""
        return self._source.classes

    @property
    def masks(self) -> Masks | None:
        """What is kept: bool, by weight name; None where nothing is pruned."""
        return None if self._record is None else self._record.masks

    @property
    def sparsity(self) -> float:
        """The fraction of the prunable weights that is removed."""
        return 0.0 if self.masks is None else self.masks.sparsity()

    @property
    def recipe(self) -> dict[str, Any] | None:
        """How it was pruned: the values of the prune flags in force; None where it was not."""
        return None if self._record is None else self._record.recipe.settings

    @property
    def rows(self) -> Sequence[ClassRow]:
        """By weight class, ``name``, ``tensors``, ``prunable``, ``removed``, ``sparsity`` and,
        where known, the magnitudes ``largest_removed`` and ``smallest_kept``.
        """
        pruned = self._unsaved is not None and self._unsaved.done == _PRUNED
        return view(self._source, self._record, fresh=pruned).rows

    def __str__(self) -> str:
        return format_table(self.rows)

    @property
    def _record(self) -> Record | None:
        return self._source.record if self._unsaved is None else self._unsaved.record

    def prune(self, data: str | Path | None = None, **flags: Any) -> "Checkpoint":
        """The checkpoint pruned, as ``fairseq-prune apply`` does it; nothing is written yet.

        Args:
            data: binarised data, for a saliency that looks at more than the weights.
            flags: the prune flags by name: ``scheme="class-blind", sparsity=0.8``.

        Raises ValueError, in a sentence, where the flags make no sense or do not fit the model, and
        where this checkpoint is not saved yet.
        """
        self._check_saved()
        recipe = check_recipe(recipe_of(flags), name_of(data))
        source = opening.open_checkpoint(self.path, recipe.resolved.classes, recipe.excluded)
        looks = Views()
        if recipe.looks:
            from fairseq_prune.tasks.offline import views_of  # fairseq takes seconds to load

            looks = views_of(self.path, Given(data=str(data)), recipe, lambda *_: None)
        applied = apply_recipe(source, recipe, looks)
        made = Checkpoint(
            source, _Unsaved(_PRUNED, applied.record, lambda: applied.content(lambda _: None))
        )
        unread = () if data is None else unread_data(recipe)
        for sentence in (*unread, *applied.remarks, *applied.doubts(made.rows)):
            warnings.warn(sentence, stacklevel=2)
        return made

    def shrink(self, uniform: bool = False, anyway: bool = False) -> "Checkpoint":
        """The checkpoint without the units that have no effect, as ``fairseq-prune shrink`` cuts
        them out: a smaller network, the same translations. Nothing is written yet.

        Args:
            uniform: leave so many units in place that stock fairseq can open the result.
            anyway: cut out also the few whole units that pruning by weight left without effect.

        Raises ValueError, in a sentence, where there is nothing to cut out, no architecture holds
        what is left, and where this checkpoint is not saved yet.
        """
        from fairseq_prune.models.fitting import fitted

        self._check_saved()
        content = shrink.shrink(fitted(shrink.plan(self._source, uniform, anyway)))
        found = opening.read(self.path, content)
        smaller = opened_of(self.path, found.content, found.layout)
        return Checkpoint(smaller, _Unsaved("shrunk", smaller.record, lambda: content))

    def save(self, path: str | Path, overwrite: bool = False) -> "Checkpoint":
        """The checkpoint as a file, which is written whole or not at all, and opened once.

        Args:
            path: the file, for fairseq and every command here.
            overwrite: replace it if it is there.

        Raises ValueError where nothing was pruned or shrunk, the file is there, or it cannot be
        written.
        """
        if self._unsaved is None:
            raise ValueError(
                f"{self.path} was not pruned or shrunk here: there is nothing to save."
            )
        _check_new(path, overwrite)
        _save(self._unsaved.content(), path)
        return open_checkpoint(path)

    def export(
        self,
        path: str | Path,
        format: str,
        *,
        half: bool = False,
        data: str | Path | None = None,
        quantization: str | None = None,
        sentencepiece: str | Path | Sequence[str | Path] | None = None,
        shortlist: int | None = None,
        overwrite: bool = False,
    ) -> None:
        """Write the model for decoding only, as ``fairseq-prune export`` does.

        Args:
            path: the file, or the folder of the last two.
            format: ``"checkpoint"``, ``"compact"``, ``"ctranslate2"`` or ``"torch-int8"`` (LSTMs).
            half: store floats as float16; of the first two.
            data: the folder that the model was trained on, for its dictionaries; of the last two.
            quantization: of the weights, ``"float32"`` unless given; of ``"ctranslate2"``.
            sentencepiece: the SentencePiece model, or those of source and target, to copy into the
                folder; those in ``data`` unless given.
            shortlist: candidates a source word, learnt from ``data``; of the last two.
            overwrite: replace what is there, a folder only if it is an export.

        Raises ValueError, in a sentence and with nothing written, where the model cannot be written
        so, an argument is of another format, and where this checkpoint is not saved yet.
        """
        self._check_saved()
        names, folder = names_of(sentencepiece), name_of(data)
        check_format(format, half, folder, quantization, names, shortlist)
        _check_new(path, overwrite)
        if format in FOLDERS:
            write_folder(
                format, self.path, str(folder), str(path), quantization=quantization,
                sentencepiece=names, shortlist=shortlist, force=overwrite,
            )  # fmt: skip
            return
        content = stripped(self._source.content, self.path, half)
        _save(content, path) if format == "checkpoint" else compact.write(content, path)

    def translate(
        self,
        lines: Sequence[str],
        data: str | Path,
        *,
        sentencepiece: str | Path | Sequence[str | Path] | None = None,
        bpe_codes: str | Path | None = None,
        tokenizer: str | None = None,
        tokens: bool = False,
        **decoding: Any,
    ) -> list[str]:
        """The best translation of each line, as ``fairseq-prune translate`` gives it: those of
        ``fairseq-interactive``, by its generator; of an empty line an empty one.

        Args:
            lines: plain text, or what ``tokens`` says.
            data: the folder that the model was trained on, for its dictionaries.
            sentencepiece: the SentencePiece model that cuts up the text, or those of source and
                target; that in ``data`` unless given.
            bpe_codes: the codes of subword-nmt that cut up the text, instead.
            tokenizer: what makes words of the text before: ``"moses"``, ``"nltk"`` or ``"space"``,
                as for fairseq-interactive.
            tokens: the lines are tokens of the dictionary, and so are the translations.
            decoding: flags of ``fairseq-prune translate`` that say how to decode: ``beam=5``,
                ``lenpen``, ``max_len_a``, ``max_len_b``, ``batch_size`` (32 unless given) and so
                on.

        Raises ValueError, in a sentence, where data, text and model do not go together, a flag is
        none of decoding, and where this checkpoint is not saved yet.
        """
        self._check_saved()
        check_lines(lines)
        with open_translator(
            self.path, data, sentencepiece=sentencepiece, bpe_codes=bpe_codes,
            tokenizer=tokenizer, tokens=tokens, **decoding,
        ) as translator:  # fmt: skip
            return translator.translate(lines)

    def evaluate(self, data: str | Path, **settings: Any) -> dict[str, Any]:
        """The scores of the checkpoint on a test set, as ``fairseq-prune evaluate`` gives them: a
        row of results, with ``bleu``, ``chrf``, ``test_ppl``, ``valid_ppl``, ``sparsity``, ...

        A doubt that the command would print is a Python warning.

        Args:
            data: the folder that fairseq-preprocess made.
            settings: the command's flags by name: ``gen_subset="test"``, ``beam=5``,
                ``remove_bpe="sentencepiece"``, ``reference="test.en"``, ``text="moses"``, ...

        Raises ValueError, in a sentence, where a flag is none of the command's, the settings cannot
        work, and where this checkpoint is not saved yet.
        """
        from fairseq_prune.evaluation.evaluate import check, evaluate

        self._check_saved()
        known = [name for name in Settings.__dataclass_fields__ if name != "data"]
        check_names(settings, known, "flag of evaluate")
        said = Settings(data=str(data), **settings)
        tasks = check([self.path], said)
        for doubt in (*said.doubts(), *said.unused(tasks)):
            warnings.warn(doubt, stacklevel=2)
        opening.quiet_fairseq()
        with quiet():
            ((row, _),) = evaluate([self.path], said)
        return row

    def _check_saved(self) -> None:
        if self._unsaved is not None:
            raise ValueError(
                f"{self.path} is {self._unsaved.done} and not saved: save it, and open that file."
            )


def open_checkpoint(path: str | Path, user_dir: str | Path | None = None) -> Checkpoint:
    """The fairseq checkpoint at ``path``; only tensors and plain values are read from it.

    Args:
        path: the file.
        user_dir: a fairseq plugin that its model needs; this package's own models need none.

    Raises ValueError, in a sentence, where the file cannot be used.
    """
    opening.import_plugin(name_of(user_dir))
    return Checkpoint(opening.open_checkpoint(str(path)))


def verify(
    path: str | Path,
    masks_from: str | Path | None = None,
    expect: float | None = None,
    user_dir: str | Path | None = None,
) -> Audit:
    """What is right and wrong with a pruned checkpoint, as ``fairseq-prune verify`` finds it:
    whether every pruned weight is zero, and so many are removed as were asked for.

    Args:
        path: the file; one whose masks are damaged can be looked at, too.
        masks_from: look for the masks of this checkpoint, not for its own.
        expect: the sparsity that it has to have, in [0, 1), not the one that it was pruned for.
        user_dir: a fairseq plugin that its model needs.

    Raises ValueError, in a sentence, where the file cannot be used or has no masks to look at.
    """
    check_expected(expect)
    opening.import_plugin(name_of(user_dir))
    return verified(str(path), name_of(masks_from), expect)


def _check_new(path: str | Path, overwrite: bool) -> None:
    """Raise ValueError where something is at ``path`` that must not be replaced."""
    there = Path(path)
    empty = there.is_dir() and not any(there.iterdir())
    if there.exists() and not empty and not overwrite:
        raise ValueError(f"{path} exists; say overwrite=True to replace it.")


def _save(content: Mapping[str, Any], path: str | Path) -> None:
    def look(file: str) -> None:
        opening.check_written(file)

    storage.save(content, path, look=look)
