"""The lexicon: nouns, names, adjectives and verbs with both languages in one entry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from embedded.english import regular_past, regular_plural

FOLDER = Path(__file__).parent / "lexicon"


@dataclass(frozen=True)
class Noun:
    german: str
    gender: str  # m, f or n
    plural: str | None
    english: str
    english_plural: str | None
    tags: frozenset[str]
    weak: bool  # every form but the nominative singular equals the plural
    weight: float

    @property
    def pronoun(self) -> str:
        """English pronoun that refers to the noun: he, she or it."""
        for tag in ("it", "she"):
            if tag in self.tags:
                return tag
        if "person" in self.tags:
            return "she" if self.gender == "f" else "he"
        return "it"


@dataclass(frozen=True)
class Name:
    german: str
    english: str
    kind: str  # he, she or city
    weight: float


@dataclass(frozen=True)
class Adjective:
    german: str
    stem: str
    german_more: str
    english: str
    english_more: str
    group: str
    weight: float


@dataclass(frozen=True)
class Slot:
    """One complement of a verb: its case, what may fill it, and prepositions if any."""

    case: str
    tags: frozenset[str]
    german_preposition: str = ""
    english_preposition: str = ""


@dataclass(frozen=True)
class Verb:
    prefix: str
    german: str
    german_forms: tuple[str, ...]  # 3rd singular, past, participle; empty for weak verbs
    english: str
    english_past: str
    english_participle: str
    particle: str
    subject: frozenset[str]
    slots: tuple[Slot, ...]
    flags: frozenset[str]
    weight: float


@dataclass(frozen=True)
class Lexicon:
    nouns: tuple[Noun, ...]
    names: tuple[Name, ...]
    adjectives: tuple[Adjective, ...]
    verbs: tuple[Verb, ...]


def weight_of(rank: int) -> float:
    """Relative frequency of the word at a rank (0 first): Zipf-Mandelbrot, 1 / (rank + 1)^1.2."""
    return float((rank + 1) ** -1.2)


def lines_of(name: str) -> Iterator[str]:
    """Lines of one lexicon file without comments."""
    for line in (FOLDER / name).read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            yield line


def spaced(word: str) -> str:
    """Word with underscores read as spaces."""
    return word.replace("_", " ")


def read_nouns() -> Iterator[Noun]:
    """Nouns of all files, weighted by their rank within the file's first tag."""
    ranks: dict[str, int] = {}
    for file in ("people.txt", "things.txt", "places.txt"):
        for line in lines_of(file):
            german, gender, plural, english, *tags = line.split()
            singular, _, irregular = english.partition("/")
            both_plural = "plural_en" in tags
            many = None if plural == "-" or irregular == "-" else plural
            rank = ranks.get(tags[0], 0)
            ranks[tags[0]] = rank + 1
            yield Noun(
                german=german,
                gender=gender[0],
                plural=plural if gender.endswith("w") else many,
                english=spaced(singular),
                english_plural=singular
                if both_plural
                else (spaced(irregular or regular_plural(singular)) if many else None),
                tags=frozenset(tags),
                weak=gender.endswith("w"),
                weight=weight_of(rank),
            )


def read_names() -> Iterator[Name]:
    """Given names and cities."""
    ranks: dict[bool, int] = {}
    for line in lines_of("names.txt"):
        words = line.split()
        is_city = words[-1] == "city"
        rank = ranks.get(is_city, 0)
        ranks[is_city] = rank + 1
        yield Name(words[0], words[1] if is_city else words[0], words[-1], weight_of(rank))


def read_adjectives() -> Iterator[Adjective]:
    """Adjectives; German stem and comparative default to the base and base + er."""
    for rank, line in enumerate(lines_of("adjectives.txt")):
        german, english, group = line.split()
        base, *rest = german.split("/")
        stem = rest[0] if rest else base.removesuffix("e")
        more = rest[1] if len(rest) > 1 else stem + "er"
        plain, _, short = english.partition("/")
        longer = short or f"more {plain}"
        yield Adjective(base, stem, more, plain, longer, group, 1.0 / (rank + 2.5))


def read_slot(text: str, groups: Mapping[str, list[str]]) -> Slot:
    """Slot of `CASE tags [=preposition]` or `PREPOSITION+CASE tags =preposition`."""
    head, *rest = text.split()
    preposition, _, case = head.rpartition("+")
    english = [word[1:] for word in rest if word.startswith("=")]
    tags = [word for word in rest if not word.startswith("=")]
    return Slot(case, widen(tags, groups), preposition, english[0] if english else "")


def widen(tags: list[str], groups: Mapping[str, list[str]]) -> frozenset[str]:
    """Tags with the names of groups replaced by their members."""
    return frozenset(tag for word in tags for tag in groups.get(word, [word]))


def read_verbs() -> Iterator[Verb]:
    """Verbs in the order of frequency."""
    groups: dict[str, list[str]] = {}
    rank = 0
    for line in lines_of("verbs.txt"):
        if line.startswith("@"):
            name, *members = line[1:].split()
            groups[name] = members
            continue
        german, english, subject, slots, flags = (part.strip() for part in line.split("|"))
        infinitive, *forms = german.split()
        prefix, _, infinitive = infinitive.rpartition("-")
        words = english.split()
        particle = " ".join(word[1:] for word in words if word.startswith("+"))
        plain = [word for word in words if not word.startswith("+")]
        past = plain[1] if len(plain) > 1 else regular_past(plain[0])
        yield Verb(
            prefix=prefix,
            german=infinitive,
            german_forms=tuple(forms),
            english=plain[0],
            english_past=past,
            english_participle=plain[2] if len(plain) > 2 else past,
            particle=particle,
            subject=widen(subject.split(), groups),
            slots=tuple(read_slot(part, groups) for part in slots.split(";") if part.strip()),
            flags=frozenset(flags.split()),
            weight=1.0 / (rank + 2.5),
        )
        rank += 1


@cache
def lexicon() -> Lexicon:
    """The whole lexicon, read once."""
    return Lexicon(
        tuple(read_nouns()), tuple(read_names()), tuple(read_adjectives()), tuple(read_verbs())
    )
