"""Regular expressions that somebody wrote, in a file of rules or a flag that a checkpoint keeps.

Python's own ``re`` has no bound: ``(a+)+$`` takes longer than anybody lives. ``regex``, which
sacreBLEU and fairseq need too, reads the same language and stops when it is told to.
"""

import regex  # type: ignore[import-untyped]

SECONDS = 1.0  # for one name; a pattern that is none of the bad ones takes microseconds
_LONGEST = 10_000  # letters of a pattern


class Pattern:
    """A regular expression; raises ValueError, with the reason, where the text is none."""

    def __init__(self, text: str) -> None:
        if len(text) > _LONGEST:
            raise ValueError(f"it has more than {_LONGEST:,} letters")
        self.text = text
        try:
            self._compiled = regex.compile(text)
        except (regex.error, OverflowError, RecursionError) as error:
            raise ValueError(str(error)) from None

    def search(self, name: str) -> bool:
        """Whether it matches somewhere in ``name``; raises ValueError where that takes too long."""
        try:
            return self._compiled.search(name, timeout=SECONDS) is not None
        except TimeoutError:
            raise ValueError(
                f"The regular expression {self.text[:80]!r} takes longer than {SECONDS:g} s on "
                f"{name[:80]}: write one without a repetition inside a repetition."
            ) from None
