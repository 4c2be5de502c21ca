"""How the numbers of a report were made: the signatures of its scores, and on which processors."""

from collections import Counter
from collections.abc import Sequence
from datetime import date

from fairseq_prune import __version__
from fairseq_prune.evaluation import results
from fairseq_prune.report.points import Point, measure_of


def signatures(points: Sequence[Point]) -> list[tuple[str, str]]:
    """Scores and the signatures that occur: one a score, where all numbers can be compared."""
    found = [pair for p in points for pair in results.signatures(p.row)]
    found += [("COMET", str(p.row["comet_signature"])) for p in points if "comet" in p.row]
    return list(dict.fromkeys(found))


def made_by(points: Sequence[Point], today: date) -> str:
    """When and by which version the report was made, and by which ones its rows."""
    versions = dict.fromkeys(str(p.row["version"]) for p in points if p.row.get("version"))
    others = [version for version in versions if version != __version__]
    rows = f", from results of version {' and '.join(versions)}" if others else ""
    return f"made on {today.isoformat()} by fairseq_prune {__version__}{rows}"


def size_of(points: Sequence[Point], model: str) -> str:
    """How large a model is, in words; "" where no row says it."""
    mine = [p.row for p in points if p.model == model]
    dense = [p.row for p in points if p.model == model and p.kind.is_dense]
    counts = [int(row["parameters"]) for row in dense or mine if row.get("parameters")]
    if not counts:
        return ""
    prunable = max((int(row.get("prunable") or 0) for row in mine), default=0)
    text = f"{max(counts):,} parameters"
    return f"{text}, of which {prunable:,} can be pruned" if prunable else text


def measured_on(points: Sequence[Point]) -> str:
    """The processors that the points were measured on; how many each where they are several."""
    named = {point.processor for point in points}
    if named == {""}:
        return "measured on processors that no row names"
    return f"measured on {named.pop() if len(named) == 1 else _counted(points)}"


def note_processors(points: Sequence[Point]) -> list[str]:
    """A sentence on what cannot be compared; none where all points name one processor."""
    named = {point.processor for point in points}
    several = len(named - {""})
    if "" not in named and several < 2:
        return []
    if several > 1:
        whence = f"The rows come from {several} processors: {_counted(points)}"
    elif several:
        whence = f"Some rows do not say which processor they come from: {_counted(points)}"
    else:
        whence = "No row says which processor it comes from (an earlier version wrote them)"
    far = ""
    if any(point.has_text for point in points):
        far = " (by up to 5 points at 60% without retraining, measured on the embedded corpus)"
    return [
        f"{whence}. Sums are taken in another order on another processor: the last bits of a "
        f"training differ, and {measure_of(points)} of heavily pruned models with them{far}. "
        "Across processors only means and their spread over seeds can be compared."
    ]


def _counted(points: Sequence[Point]) -> str:
    counts = Counter(point.processor for point in points)
    silent = counts.pop("", 0)
    found = [f"{name} ({_rows(count)})" for name, count in counts.most_common()]
    if silent:
        found.append(f"{_rows(silent)} {'does' if silent == 1 else 'do'} not say")
    return "; ".join(found)


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"
