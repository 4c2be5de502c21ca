"""What a sentence means, before either language: phrases and clauses.

Both realisations read the same objects, so a German sentence and its translation cannot drift.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Union

from embedded.words import Adjective, Name, Noun, Slot, Verb


@dataclass(frozen=True)
class Pronoun:
    key: str  # I, you, he, she, we, they


@dataclass(frozen=True)
class Question:
    key: str  # who, what


@dataclass(frozen=True)
class Modifier:
    """First part of a German compound and the English word before the noun."""

    german: str
    english: str
    tags: frozenset[str]


@dataclass(frozen=True)
class Described:
    """Noun with what goes around it; owner is a phrase, possessor a pronoun's key."""

    noun: Noun
    plural: bool = False
    determiner: str = "def"  # def indef dies jed kein poss num viele einige alle
    adjective: Adjective | None = None
    number: int = 0
    possessor: str = ""
    owner: Phrase | None = None
    modifier: Modifier | None = None
    relative: Clause | None = None


@dataclass(frozen=True)
class Pair:
    left: Phrase
    right: Phrase


@dataclass(frozen=True)
class Gap:
    """Place of the head inside its relative clause."""

    head: Described


Phrase = Union[Pronoun, Question, Name, Described, Pair, Gap]  # noqa: UP007  (names a class below)


@dataclass(frozen=True)
class Adverb:
    """Word or phrase that is fixed in both languages; kind is the tense it asks for."""

    german: str
    english: str
    kind: str
    before_verb: bool = False  # English puts it before the main verb (often, already)


@dataclass(frozen=True)
class Place:
    phrase: Phrase
    german: str
    english: str
    case: str  # dat: where, acc: where to


@dataclass(frozen=True)
class Tense:
    german: str  # pres past perf plup fut
    english: str  # pres past perf plup will prog


@dataclass(frozen=True)
class Modal:
    german: str  # infinitive, or gern
    english: tuple[tuple[str, str], ...]  # word and the form of the next: base, to, pp


@dataclass(frozen=True)
class Predicate:
    """What follows the copula: an adjective (perhaps compared), a job or an age."""

    adjective: Adjective | None = None
    compared: Phrase | None = None
    job: Noun | None = None
    age: int = 0


@dataclass(frozen=True)
class Clause:
    subject: Phrase
    verb: Verb
    tense: Tense
    complements: tuple[tuple[Slot, Phrase], ...] = ()
    modal: Modal | None = None
    negated: bool = False
    passive: bool = False
    predicate: Predicate | None = None
    time: Adverb | None = None
    manner: Adverb | None = None
    place: Place | None = None
    front: str = "subject"  # subject, time, place, object, verb (a yes/no question)
    question: Adverb | None = None  # where, when, why
    purpose: Clause | None = field(default=None)  # um ... zu, infinitive without subject


COPULA = Verb(
    "", "sein", (), "be", "was", "been", "", frozenset(), (), frozenset({"state", "sein"}), 0.0
)  # fmt: skip

PERSONS = {"I": 1, "you": 2, "we": 1}


def head(phrase: Phrase) -> Phrase:
    """Phrase itself, or the head a gap stands for."""
    return phrase.head if isinstance(phrase, Gap) else phrase


def person(phrase: Phrase) -> int:
    """Grammatical person."""
    return PERSONS.get(phrase.key, 3) if isinstance(phrase, Pronoun) else 3


def plural(phrase: Phrase) -> bool:
    """Whether the German phrase is plural."""
    phrase = head(phrase)
    if isinstance(phrase, Pronoun):
        return phrase.key in ("we", "they")
    return isinstance(phrase, Pair) or (isinstance(phrase, Described) and phrase.plural)


def plural_english(phrase: Phrase) -> bool:
    """Whether the English phrase is plural (you, glasses and vegetables are)."""
    phrase = head(phrase)
    if isinstance(phrase, Described) and "plural_en" in phrase.noun.tags:
        return True
    return plural(phrase) or phrase == Pronoun("you")


def pronoun(phrase: Phrase) -> str:
    """Key of the pronoun that refers to the phrase."""
    phrase = head(phrase)
    if isinstance(phrase, Pronoun):
        return phrase.key
    if plural(phrase):
        return "they"
    if isinstance(phrase, Name):
        return phrase.kind
    return phrase.noun.pronoun if isinstance(phrase, Described) else "he"


def is_human(phrase: Phrase) -> bool:
    """Whether English says who rather than that."""
    phrase = head(phrase)
    return isinstance(phrase, Described) and "person" in phrase.noun.tags
