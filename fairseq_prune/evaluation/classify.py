"""Accuracy of classifiers, one row of results a checkpoint; what is known is not done again.

What happens is what ``fairseq-validate`` does: fairseq's own task, batches and criterion.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairseq_prune.checkpoints.storage import CheckpointError, no_file
from fairseq_prune.evaluation import results
from fairseq_prune.evaluation.processor import made_here
from fairseq_prune.evaluation.provenance import provenance
from fairseq_prune.evaluation.results import Row
from fairseq_prune.files.writing import file_digest
from fairseq_prune.network.work import work_of_texts
from fairseq_prune.tasks.opening import open_checkpoint
from fairseq_prune.tasks.own import Given, parse_overrides

if TYPE_CHECKING:
    from fairseq_prune.tasks.classes import Outcome

SCORE = "accuracy"  # what a row of these results has


@dataclass(frozen=True, kw_only=True)
class ClassifySettings:
    """What to classify.

    Args:
        data: the folder with input0/ and label/.
        subset: the split.
        model_overrides: settings of the checkpoint to replace, as for fairseq-generate.
        user_dir: a plugin that the checkpoints need.
        cpu: leave a GPU alone.
    """

    data: str
    subset: str = "test"
    model_overrides: str | None = None
    user_dir: str | None = None
    cpu: bool = False

    def check(self) -> "ClassifySettings":
        """The settings themselves; raises ValueError, one sentence, where they cannot work."""
        folder = Path(self.data)
        if not is_classification(folder):
            raise ValueError(
                f"--data {self.data} has no input0/dict.txt and label/dict.txt; give the folder "
                "that fairseq-train took for sentence_prediction."
            )
        for part in ("input0", "label"):
            index = folder / part / f"{self.subset}.idx"
            if Path(self.subset).name != self.subset or not index.is_file():
                known = sorted(path.stem for path in (folder / part).glob("*.idx"))
                raise ValueError(
                    f"--data {self.data} has no {part} of subset {self.subset!r}; it has "
                    f"{', '.join(known)}."
                )
        parse_overrides(self.model_overrides)
        return self

    def deciding(self) -> dict[str, str]:
        """What decides the numbers, wherever the files lie."""
        given = {"subset": self.subset, "model_overrides": self.model_overrides}
        return {name: value for name, value in given.items() if value is not None}

    def given(self) -> Given:
        """What is said of the checkpoints' tasks."""
        return Given(data=self.data, model_overrides=self.model_overrides, user_dir=self.user_dir)

    def data_digest(self) -> str:
        """A digest of dictionaries and subset."""
        digest = hashlib.sha256()
        for part in ("input0", "label"):
            folder = Path(self.data) / part
            for path in (folder / "dict.txt", *sorted(folder.glob(f"{self.subset}.*"))):
                digest.update(file_digest(path).encode())
        return digest.hexdigest()[:16]


def is_classification(folder: Path) -> bool:
    """Whether a folder of data is laid out as sentence_prediction reads it."""
    return all((folder / part / "dict.txt").is_file() for part in ("input0", "label"))


def classify(
    checkpoints: Sequence[str],
    settings: ClassifySettings,
    tags: results.Tags = None,
    output: str | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Iterator[tuple[Row, bool]]:
    """Yields each checkpoint's row, in order, and whether it was known before.

    A row has ``accuracy`` (%), ``loss`` (nats an example), multiply-adds of an average text.

    Args:
        checkpoints: files of fairseq, trained with ``sentence_prediction``.
        tags: what else the rows shall say, e.g. ``stage``; part of a measurement's identity.
        output: results file to append to and to look in.
        tell: called with each checkpoint that is begun.

    Raises ValueError before any model runs where a file is missing or the settings cannot work.
    """
    settings.check()
    for path in filter(lambda path: not Path(path).is_file(), checkpoints):
        raise CheckpointError(no_file(path))
    known = {results.identity(r): r for r in results.read(output, score=SCORE)} if output else {}
    digest = settings.data_digest()
    for path, own in zip(checkpoints, results.tags_of_each(tags, len(checkpoints)), strict=True):
        tell(path)
        row: Row = {
            "checkpoint": results.kept_path(path, output),
            "sha256": file_digest(path),
            "data_digest": digest,
            "settings": settings.deciding(),
            "tags": own,
        }
        found = known.get(results.identity(row))
        if found is None:
            row |= {**provenance(path), **_measured(path, settings)}
            row |= made_here(settings.cpu)
            if output:
                results.append(output, row)
        yield (row, False) if found is None else (found, True)


def _measured(path: str, settings: ClassifySettings) -> Row:
    from fairseq_prune import models  # fairseq takes seconds to load
    from fairseq_prune.tasks.classes import run_classifier

    models.register()  # our own need no --user-dir here
    outcome = run_classifier(path, settings.given(), settings.subset, settings.cpu)
    return {
        "accuracy": 100 * outcome.correct / outcome.examples,
        "loss": outcome.nats / outcome.examples,
        "examples": outcome.examples,
        **_work(path, outcome),
    }


def _work(path: str, outcome: "Outcome") -> dict[str, Any]:
    weights = open_checkpoint(path).weights
    dense = work_of_texts(weights, outcome.counts, outcome.examples)
    kept = {name: weight.tensor != 0 for name, weight in weights.items()}
    sparse = work_of_texts(weights, outcome.counts, outcome.examples, kept)
    if dense is None or sparse is None:
        return {"multiply_adds": None, "flop_sparsity": None}
    return {"multiply_adds": [dense, sparse], "flop_sparsity": 1.0 - sparse / dense}
