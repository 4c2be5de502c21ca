"""Where measurements of many checkpoints go, and what is said of each beside its numbers."""

from fairseq_prune.cli import _output


def check(output: str | None) -> None:
    """Raise ValueError, before anything is measured, where --output cannot be written."""
    if output is not None:
        _output.check_output(output, force=True)


def tags_of(given: list[str], count: int = 1) -> list[dict[str, str]]:
    """What --tag says of each of ``count`` checkpoints.

    Raises ValueError where one is not NAME=VALUE, or has neither one value nor ``count`` of them.
    """
    found: list[dict[str, str]] = [{} for _ in range(count)]
    for name, text in _output.pairs(given, "--tag", "stage=retrained").items():
        values = text.split(",") if count > 1 else [text]
        if len(values) not in (1, count):
            raise ValueError(
                f"--tag {name}={text} has {len(values)} values for {count} checkpoints; give one, "
                "or one for each."
            )
        for tags, value in zip(found, values * (count // len(values)), strict=True):
            tags[name] = value
    return found
