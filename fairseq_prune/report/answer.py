"""What a report says first: how much can be pruned, by which scheme, and what it costs.

Sentences of what :mod:`fairseq_prune.report.significance` and :mod:`fairseq_prune.report.sized`
tested; where the data allow no answer, one says why, and what would give it.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from fairseq_prune.report.bootstrap import LEVEL, Comparison
from fairseq_prune.report.measure_tables import against, interval
from fairseq_prune.report.measures import Measures
from fairseq_prune.report.points import Place, Point, measure_of, models_of, places_of
from fairseq_prune.report.significance import Limit
from fairseq_prune.report.sized import Match
from fairseq_prune.study.stages import STAGES

ABOUT = (
    "Numbers: BLEU of the pruned model minus that of the dense one (below zero: a loss), the mean "
    "over seeds, with its 95% interval over the test set's sentences. Significant: p < 0.05 by "
    "sacreBLEU's paired bootstrap, not corrected for many tests. That p is one-sided in effect, "
    "about half of a two-sided one: it can be below 0.05 while the interval includes zero. Not "
    "significantly worse does not mean that nothing is lost: the interval says how much may be."
)

NONE = "No answer"
WIDTH = 100  # letters of a line of text
ONE_SEED = (
    "There is one seed, and so no answer that holds for another training: a study's seeds, or "
    "--tag seed=N, give more. Of this seed alone:"
)


@dataclass(frozen=True)
class Answer:
    """What can be said of a model.

    Args:
        sentences: one a stage, what allows the most sparsity first; or why there is none.
        caveat: what to know before; "" for nothing.
    """

    model: str
    sentences: Sequence[str]
    caveat: str = ""

    @property
    def tested(self) -> bool:
        """Whether anything was tested, so that :data:`ABOUT` says what the numbers are."""
        return not self.sentences[0].startswith(NONE)


def in_text(found: Sequence[Answer]) -> str:
    """Answers as paragraphs of plain text."""
    parts = []
    for answer in found:
        parts += [f"{answer.model}: how much can be pruned", *_wrapped(answer.caveat)]
        parts += [line for sentence in answer.sentences for line in _wrapped(sentence, "- ")]
    about = _wrapped(ABOUT) if any(answer.tested for answer in found) else []
    return "\n".join([*parts, *about]) + "\n"


def _wrapped(text: str, mark: str = "") -> list[str]:
    after = " " * len(mark)
    return textwrap.wrap(
        text, WIDTH, initial_indent=mark, subsequent_indent=after, break_on_hyphens=False
    )


def in_markdown(found: Sequence[Answer]) -> str:
    """Answers as lists in Markdown, which lets HTML through: nothing begins a tag."""
    parts = []
    for answer in found:
        parts.append(f"**{answer.model}: how much can be pruned**\n")
        parts += [f"{answer.caveat}\n"] if answer.caveat else []
        parts.append("".join(f"- {sentence}\n" for sentence in answer.sentences))
    parts += [f"{ABOUT}\n"] if any(answer.tested for answer in found) else []
    return "\n".join(parts).replace("<", "&lt;")


def answers(measures: Measures) -> list[Answer]:
    """An answer for each model, in the order of the points."""
    return [_of_model(measures, model) for model in models_of(measures.points)]


def _of_model(measures: Measures, model: str) -> Answer:
    lines: dict[str, list[Limit]] = {}
    for limit in measures.limits:
        if limit.model == model and STAGES[limit.stage].removes:
            lines.setdefault(limit.stage, []).append(limit)
    if not lines:
        return Answer(model, [_no_answer([p for p in measures.points if p.model == model])])
    told = [(_reach(mine), _of_stage(measures, mine)) for mine in lines.values()]
    told.sort(key=lambda pair: -pair[0])
    sentences = [sentence for _, sentence in told]
    sentences += [s for match in measures.sized if (s := _beside_small(match, model))]
    every = [place for mine in lines.values() for limit in mine for place in _tested(limit)]
    if all(_seeds(measures, place) == 1 for place in every):
        return Answer(model, sentences, ONE_SEED)
    return Answer(model, sentences)


def _no_answer(points: Sequence[Point]) -> str:
    """Why nothing of a model was tested."""
    if not any(p.kind.removes for p in points):
        return f"{NONE}: nothing of it is pruned."
    if not any(p.has_text for p in points):
        what = measure_of(points)
        return f"{NONE}: {what} is not tested for significance; the table has its spread."
    if not any(p.kind.is_dense for p in points):
        return f"{NONE}: there is no dense model to compare with; evaluate it into this folder."
    return (
        f"{NONE}: nothing could be tested against the dense model, which takes the translations "
        "and sentences of both that fairseq-prune evaluate leaves beside the results."
    )


def _tested(limit: Limit) -> list[Place]:
    return [p for p in (limit.harmless, limit.first_worse, limit.tested) if p is not None]


def _reach(lines: Sequence[Limit]) -> float:
    """The largest sparsity of a stage that is not significantly worse, in percent; -1 for none."""
    return max((limit.harmless[3] for limit in lines if limit.harmless), default=-1.0)


def _of_stage(measures: Measures, lines: Sequence[Limit]) -> str:
    """The sentence on a model's stage."""
    stage, reach = STAGES[lines[0].stage], _reach(lines)
    best = [limit.harmless for limit in lines if limit.harmless and limit.harmless[3] == reach]
    if best:
        shown, *others = sorted(best, key=lambda place: -measures.tests.pooled[place].difference)
        told = (
            f"{_what(measures, shown)} is the largest sparsity whose BLEU is not significantly "
            f"worse than {_against(measures, shown)}: {_cost(measures, shown)}"
        )
        told += "".join(f"; so is {place[2]}: {_cost(measures, place)}" for place in others)
        told += f". {_beyond(measures, lines, reach)}"
    else:
        mine = {(limit.stage, limit.scheme) for limit in lines}
        every = [p for p in measures.tests.pooled if p[0] == lines[0].model and p[1:3] in mine]
        shown = max(every, key=lambda place: measures.tests.pooled[place].difference)
        told = (
            f"all that was tested, from {min(place[3] for place in every):g}%, is significantly "
            f"worse than {_against(measures, shown)}. {_what(measures, shown)} loses least: "
            f"{_cost(measures, shown)}."
        )
    control = STAGES[stage.against].label if stage.against else ""
    if control and _against(measures, shown) != control:
        told = (
            "no answer yet, for no dense model was trained on for as long (the stage "
            f"{stage.against}): a gain of training counts as one of pruning here. As it is, {told}"
        )
    return f"{stage.label}: {told.strip()}"


def _beyond(measures: Measures, lines: Sequence[Limit], reach: float) -> str:
    stage = lines[0].stage
    tested = (p[3] for p in measures.tests.pooled if (p[0], p[1]) == (lines[0].model, stage))
    return "" if max(tested) > reach else "Nothing larger was tested."


def _what(measures: Measures, place: Place) -> str:
    return f"{place[2]} at {places_of(measures.points)[place][0].share}"


def _against(measures: Measures, place: Place) -> str:
    return against(measures, places_of(measures.points)[place])


def _seeds(measures: Measures, place: Place) -> int:
    return sum(p.key in measures.tests.each for p in places_of(measures.points)[place])


def _cost(measures: Measures, place: Place) -> str:
    count = _seeds(measures, place)
    seeds = "1 seed" if count == 1 else f"{count} seeds"
    found = measures.tests.pooled[place]
    return f"{difference(found)}, p {found.p:.4f}, {seeds}"


def difference(found: Comparison) -> str:
    """The difference with its interval: "-0.30 [-0.90, +0.20]"."""
    return f"{found.difference:+.2f} {interval(found.low, found.high)}"


def _beside_small(match: Match, model: str) -> str:
    """The sentence on a dense model of as few weights; "" where nothing of it was tested."""
    small = match.small[0]
    if small.model != model or match.shared != "weights" or not match.tests.pooled:
        return ""
    place, found = max(match.tests.pooled.items(), key=lambda pair: pair[1].difference)
    how = "better than" if found.difference > 0 else "worse than"
    how = how if found.p < LEVEL else "not shown to differ from"
    what = match.found[place][0].label
    name = small.scheme or small.kind.label
    return f"{what}: {how} a dense model of as few weights ({name}), by {difference(found)}."
