"""A file of rules for weight classes and a model: rules that name nothing, weights that none names.

The file says whose class is what (``--prune-classes FILE``); what it does not say has the paper's.
"""

from collections.abc import Collection, Iterable, Mapping

from fairseq_prune.network.classes import GRANULARITIES, read_rules
from fairseq_prune.network.units import Axes
from fairseq_prune.network.weights import Weights

_SHOWN = 3  # names of a class in a sentence


def check_rules(
    classes: str, everything: Weights, pruned: Iterable[str], axes: Axes | None
) -> str | None:
    """What no rule names, and the class that it has for that, as a sentence; None where all is.

    Args:
        classes: ``--prune-classes``; a granularity has no rules.
        everything: all weights that could be pruned, in the paper's classes.
        pruned: the names of those that are not excluded.
        axes: where units are pruned: rules may name these, too.

    Raises ValueError where a rule names nothing, or nothing that no rule above it names.
    """
    if classes in GRANULARITIES:
        return None
    rules = read_rules(classes)
    things = {name: (name, *weight.aliases) for name, weight in everything.items()}
    for name, axis in (axes or {}).items():
        things[name] = axis.names
    hits = {
        name: [number for number, (_, rule) in enumerate(rules) if any(map(rule.search, names))]
        for name, names in things.items()
    }
    for number, (label, rule) in enumerate(rules):
        if not any(found[:1] == [number] for found in hits.values()):
            hidden = any(number in found for found in hits.values())
            why = "nothing that no rule above it names" if hidden else "no weight of this model"
            raise ValueError(
                f"--prune-classes {classes}: the rule `{label} {rule.text}` names {why}; correct "
                "it, or take it out."
            )
    labels = {name: everything[name].weight_class for name in pruned if name in everything}
    if axes is not None:
        labels = {name: axis.label for name, axis in axes.items()}
    return _sentence(classes, labels, {name for name, found in hits.items() if not found})


def _sentence(classes: str, labels: Mapping[str, str], unnamed: Collection[str]) -> str | None:
    by_class: dict[str, list[str]] = {}
    for name, label in labels.items():
        if name in unnamed:
            by_class.setdefault(label, []).append(name)
    if not by_class:
        return None
    parts = [f"{label} ({_listed(names)})" for label, names in by_class.items()]
    return (
        f"no rule of --prune-classes {classes} names {sum(map(len, by_class.values()))} of the "
        f"{len(labels)} that are pruned; they have the paper's classes: {', '.join(parts)}"
    )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
