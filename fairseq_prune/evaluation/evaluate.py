"""Decoding and scoring checkpoints, one row of results each; what is known is not done again."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairseq_prune.checkpoints.counts import count, together
from fairseq_prune.evaluation import results
from fairseq_prune.evaluation.ensembles import kept_paths, name_of, provenance_of
from fairseq_prune.evaluation.processor import made_here
from fairseq_prune.evaluation.provenance import provenance, provenance_of_folder
from fairseq_prune.evaluation.results import Row
from fairseq_prune.evaluation.scores import Scores, perplexity, score, tokenized_bleu
from fairseq_prune.evaluation.sentences import write_sentences
from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.evaluation.texts import Texts, split_compounds, texts_of
from fairseq_prune.exports import CTRANSLATE2, INT8
from fairseq_prune.exports.forms import (
    CHECKPOINT,
    COMPACT,
    FOLDERS,
    as_checkpoint,
    digest_of,
    form_of,
    read_folder,
    size_of,
    task_of,
)
from fairseq_prune.files.writing import inside, write_text
from fairseq_prune.tasks.opening import open_checkpoint
from fairseq_prune.tasks.own import OwnTask, members_of

if TYPE_CHECKING:
    from fairseq_prune.evaluation.decode import Decoder


def evaluate(
    checkpoints: Sequence[str],
    settings: Settings,
    tags: results.Tags = None,
    output: str | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Iterator[tuple[Row, bool]]:
    """Yields each checkpoint's row, in order, and whether it was known before.

    Args:
        checkpoints: files, an ensemble's with colons between them, and folders of CTranslate2.
        settings: what to decode, and how.
        tags: what else the rows shall say, e.g. ``stage``; part of a measurement's identity.
        output: results file to append to and to look in; ``hypotheses`` and ``sentences`` lie
            beside it.
        tell: called with what is done now, again and again.

    Raises ValueError before any decoding where a file is missing or the settings cannot work.
    """
    check(checkpoints, settings)
    known = {results.identity(row): row for row in results.read(output)} if output else {}
    digest = settings.data_digest()
    decoders = {form: LazyDecoder(settings, form) for form in (CHECKPOINT, *FOLDERS)}
    for path, own in zip(checkpoints, results.tags_of_each(tags, len(checkpoints)), strict=True):
        row: Row = {
            "checkpoint": kept_paths(members_of(path), output), "sha256": digest_of(path),
            "data_digest": digest, "settings": settings.deciding(), "tags": own,
        }  # fmt: skip
        found = known.get(results.identity(row))
        if found is not None and not _is_credited(found, output):
            yield told_anew(found, path, output), True
            continue
        decoder = decoders.get(form_of(path), decoders[CHECKPOINT])
        with closing(decoder), as_checkpoint(path) as opened:
            row.update(_provenance(path, output, opened))
            row.update(_measure(decoder(partial(_tell, tell, path)), opened, path, row, output))
        row.update(made_here(settings.cpu or row.get("device") == "cpu"))
        if output:
            results.append(output, row)
        yield row, False


def _tell(tell: Callable[[str], None], path: str, what: str) -> None:
    tell(f"{path}: {what}")


def _provenance(path: str, output: str | None, opened: str) -> Row:
    """What a row says of how its model came to be, and in which form it is.

    Args:
        opened: the checkpoint that fairseq opens for it.
    """
    form = form_of(path)
    if form in FOLDERS:
        found = provenance_of_folder(read_folder(path))
    else:
        found = provenance_of(members_of(path), output, members_of(opened))
    if form == COMPACT and found["made"]:  # the checkpoint in it is named otherwise in reports
        found["made"][-1] = found["made"][-1].replace("exported", "exported, compact", 1)
    return {**found, "form": form, "bytes": size_of(path)}


def told_anew(row: Row, path: str, output: str | None) -> Row:
    """A row that is known; one of an earlier version learns, and is written down again with, what
    its checkpoint says of its making."""
    if row.get("stage") is not None:
        return row
    row = {**row, **provenance(path), "checkpoint": results.kept_path(path, output)}
    if output:
        results.append(output, row)
    return row


def _is_credited(row: Row, output: str | None) -> bool:
    """Whether unknown words were matches in a row's scores, as they were in older versions."""
    if "unknown_words" in row or output is None:
        return False
    base = Path(output).absolute().parent
    paths = (inside(base, str(row.get(n) or "")) for n in ("hypotheses", "sentences_file"))
    return any("<unk>" in path.read_text(encoding="utf-8", errors="replace")
               for path in paths if path is not None)  # fmt: skip


def check(checkpoints: Sequence[str], settings: Settings) -> list[OwnTask]:
    """The tasks of checkpoints; raises ValueError where they and the settings do not go together.

    Nothing is decoded, and fairseq is not loaded, for that.
    """
    settings.check()
    owns = [task_of(path, settings.model_overrides) for path in checkpoints]
    for own in owns:
        settings.check_task(own, "evaluate")
        if form_of(own.path) in FOLDERS:
            read_folder(own.path).check_data(settings.given())
        if len(members_of(own.path)) > 1 and not own.translates:
            raise ValueError(
                f"{own.path} is an ensemble of task {own.name}, which has perplexity only, and "
                "that is of one model: give them one by one."
            )
    return owns


class LazyDecoder:
    """The decoder, made when it is first needed: fairseq takes seconds to start.

    Args:
        form: of the models, CHECKPOINT or one of FOLDERS.
    """

    def __init__(self, settings: Settings, form: str = CHECKPOINT) -> None:
        self._make: Callable[[], Any] = lambda: decoder_of(form, settings)
        self._made: Any = None

    def __call__(self, tell: Callable[[str], None] = lambda _: None) -> "Decoder":
        """The decoder; ``tell`` is called with what it does."""
        self._made = self._made or self._make()
        made: Decoder = self._made
        made.tell = tell
        return made

    def close(self) -> None:
        """Let go of what it has open."""
        if self._made is not None:
            self._made.close()


def decoder_of(form: str, settings: Settings) -> "Decoder":
    """The decoder of models of a form; see :func:`~fairseq_prune.exports.forms.form_of`."""
    if form == CTRANSLATE2:
        from fairseq_prune.evaluation.decode_folder import FolderDecoder

        return FolderDecoder(settings)
    if form == INT8:
        from fairseq_prune.evaluation.decode_int8 import Int8Decoder

        return Int8Decoder(settings)
    from fairseq_prune.evaluation.decode import Decoder

    return Decoder(settings)


def _measure(decoder: "Decoder", opened: str, path: str, known: Row, output: str | None) -> Row:
    """What is measured of the model at ``path``, for which fairseq opens ``opened``."""
    settings = decoder.settings
    begin = time.perf_counter()
    decoder.open(opened)
    row: Row = {"task": decoder.own.name, **decoder.engine}
    for subset in filter(None, (settings.valid_subset, settings.gen_subset)):
        nll = decoder.nll(subset)
        row[f"{subset}_nll"] = nll if math.isfinite(nll) else None
        row[f"{subset}_ppl"] = perplexity(nll)
    texts = None
    if decoder.translates:
        with decoder.watched() as spent:
            made = decoder.translate(settings.gen_subset)
        row["ms_per_sentence"] = 1000 * spent["seconds"] / max(1, len(made.hypotheses))
        row["memory_bytes"] = spent["memory_bytes"]
        texts = texts_of(settings, made, decoder.languages)
        row.update(_scored(texts, settings))
        if settings.also:
            row["also"] = {o.gen_subset: _scores_of(decoder, o) for o in settings.others}
        row.update({} if "multiply_adds" in known else _work(members_of(opened)))
    else:
        row.update(dict.fromkeys(f.name for f in fields(Scores)))
        row["no_bleu"] = decoder.why_no_bleu
    row["seconds"] = round(time.perf_counter() - begin, 2)
    if output and texts is not None:
        row["hypotheses"] = _write_hypotheses(path, output, texts.hypotheses)
        if texts.tokens is not None:
            tokens = _write_hypotheses(path, output, texts.tokens[0], ".tok.txt")
            row["tokenized_hypotheses"] = tokens
        base = Path(output).absolute().parent
        row["sentences_file"] = write_sentences(base, known, texts.sentences)
    return row


def _scores_of(decoder: "Decoder", settings: Settings) -> Row:
    """BLEU and chrF of another subset."""
    texts = texts_of(settings, decoder.translate(settings.gen_subset), decoder.languages)
    scores = score(texts.hypotheses, texts.references)
    return {"bleu": scores.bleu, "chrf": scores.chrf, "sentences": len(texts.references)}


def _work(members: Sequence[str]) -> Row:
    """The multiply-adds of a model, or an ensemble, for a source token and a target token."""
    try:
        counts = together([count(open_checkpoint(path)) for path in members])
    except ValueError:  # nothing of it can be pruned
        return {}
    pair = [counts.dense.pair, counts.sparse.pair]
    return {"multiply_adds": pair, "flop_sparsity": counts.work_sparsity}


def _scored(texts: Texts, settings: Settings) -> Row:
    scores = score(texts.hypotheses, texts.references)
    row: Row = {**asdict(scores), "sentences": len(texts.references)}
    row["unknown_words"], row["unknown_reference_words"] = texts.unknown
    row.update(tokenized(texts, settings.split_compounds))
    return row


def tokenized(texts: Texts, split: bool) -> Row:
    """What a row says of the tokenized BLEU; nothing where there are no tokens.

    Args:
        split: whether to give it with split compounds, too.
    """
    if texts.tokens is None:
        return {}
    hypotheses, references = texts.tokens
    row: Row = {"bleu_text": texts.about}
    bleu, signature = tokenized_bleu(hypotheses, references)
    row["tokenized_bleu"] = bleu
    row["tokenized_bleu_signature"] = f"tokens:{texts.tokenizer}|{signature}"
    if split:
        apart = ([split_compounds(line) for line in lines] for lines in texts.tokens)
        bleu, signature = tokenized_bleu(*apart)
        row["tokenized_bleu_split"] = bleu
        name = f"tokens:{texts.tokenizer}|compounds:split|{signature}"
        row["tokenized_bleu_split_signature"] = name
    return row


def _write_hypotheses(
    checkpoint: str, output: str, lines: Sequence[str], ending: str = ".txt"
) -> str:
    base = Path(output).absolute().parent
    target = base / "hypotheses" / (name_of(members_of(checkpoint), base) + ending)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_text(target, "".join(line + "\n" for line in lines))
    return str(target.relative_to(base))
