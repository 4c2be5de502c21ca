"""How the models of a study are scored: translations by evaluate, classifiers by classify."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import Field, dataclass, fields
from typing import Any

from fairseq_prune.evaluation import classify, results
from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.study.document import Node

CLASSIFIERS = ("sentence_prediction",)  # tasks
EVALUATE, CLASSIFY = "evaluate", "classify"
# the rest of their settings is the study's own business
_PLACES = ("data", "reference", "also", "cpu", "user_dir")


@dataclass(frozen=True)
class Scoring:
    """A command of ours that scores checkpoints.

    Args:
        settings: its settings.
        score: what each of its rows has.
        check: raises ValueError where settings that were read cannot work.
        doubts: sentences on settings that hardly go with the data; the settings are checked.
    """

    settings: type[Settings] | type[classify.ClassifySettings]
    score: str
    check: Callable[[Mapping[str, Any]], Any]
    doubts: Callable[[Any], list[str]]

    def shown(self, row: results.Row) -> str | None:
        """The score of a row, to be read; None where it has none."""
        value = row.get(self.score)
        name = self.score.upper() if self.score == "bleu" else self.score
        return None if value is None else f"{name} {value:.2f}"


def _check_text(values: Mapping[str, Any]) -> None:
    Settings(data="", **values).check_text()


SCORINGS = {
    EVALUATE: Scoring(Settings, "bleu", _check_text, lambda settings: settings.doubts()),
    CLASSIFY: Scoring(
        classify.ClassifySettings, classify.SCORE, lambda values: None, lambda settings: []
    ),
}


def scoring_of(task: str) -> str:
    """Which of SCORINGS scores the models of a task."""
    return CLASSIFY if task in CLASSIFIERS else EVALUATE


def keys_of(scoring: str) -> dict[str, "Field[Any]"]:
    """The keys of the section ``evaluate``, with the settings' fields."""
    every = fields(SCORINGS[scoring].settings)
    return {f.name.replace("_", "-"): f for f in every if f.name not in _PLACES}


def read_settings(node: Node | None, scoring: str) -> dict[str, Any]:
    """The section ``evaluate`` of a study, by the names of the settings' fields."""
    known = keys_of(scoring)
    values: dict[str, Any] = {}
    for key, entry in (node.keys(tuple(known)) if node else {}).items():
        kind = str(known[key].type)
        none = entry.value == "" and "None" in kind  # as '' on the command line
        values[known[key].name] = None if none else entry.as_kind(kind)
        if key == "beam" and not entry.whole:
            entry.fail("--beam 0 must be 1 or more.")
    try:
        SCORINGS[scoring].check(values)
    except ValueError as error:
        assert node is not None
        node.fail(f"{node.path}: {error}")
    return values


def scored(
    scoring: str, checkpoint: str, values: Mapping[str, Any], cpu: bool,
    tags: Mapping[str, str], output: str,
) -> results.Row:  # fmt: skip
    """The row of a checkpoint, in ``output`` too.

    Args:
        values: of the settings.
        cpu: leave a GPU alone.
    """
    from fairseq_prune.evaluation import evaluate

    settings: Any = SCORINGS[scoring].settings(**values, cpu=cpu)
    run: Callable[..., Iterator[tuple[results.Row, bool]]]
    run = classify.classify if scoring == CLASSIFY else evaluate.evaluate
    ((row, _),) = run([checkpoint], settings, tags, output)
    return row
