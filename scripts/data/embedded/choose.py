"""Random choices of words and phrases, all from one generator."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from itertools import accumulate
from typing import TypeVar

from embedded import english, german
from embedded.meaning import (
    Adverb,
    Described,
    Modifier,
    Name,
    Pair,
    Phrase,
    Place,
    Pronoun,
    pronoun,
)
from embedded.words import Adjective, Noun, Slot, Verb, lexicon, lines_of

Choice = TypeVar("Choice")

GROUPS = {  # nouns that an adjective of the group goes with
    "any": "person animal thing furniture clothes vehicle device portable gift text plant",
    "size": "animal furniture vehicle device portable gift plant place structure clothes",
    "thing": "furniture clothes vehicle device portable gift",
    "live": "person animal",
    "idea": "idea puzzle text exam",
    "move": "vehicle animal works",
    "eat": "food drink",
    "site": "place sight",
}
PLURAL = ("num", "viele", "einige", "alle")
DETERMINERS = ["def", "indef", "poss", "dies", "num", "jed", "viele", "einige", "alle"]
DETERMINER_WEIGHTS = (46, 22, 12, 6, 5, 3, 2, 2, 2)
UNITS = (("Tagen", "day"), ("Wochen", "week"), ("Monaten", "month"), ("Jahren", "year"))
FIRST = ("I", "you", "we")


def unambiguous(nouns: Sequence[Noun]) -> list[Noun]:
    """Nouns without those of which more than one sense is admitted.

    Der Leiter and die Leiter may stay, since the article tells them apart; der Band and das Band
    may not, since ein Band is both.
    """
    senses = Counter((noun.german, noun.gender == "f") for noun in nouns)
    return [noun for noun in nouns if senses[noun.german, noun.gender == "f"] == 1]


@cache
def candidates(tags: frozenset[str]) -> tuple[tuple[Noun, ...], tuple[float, ...]]:
    """Nouns that a slot with these tags admits, and their cumulated weights."""
    nouns = unambiguous([noun for noun in lexicon().nouns if noun.tags & tags])
    return tuple(nouns), tuple(accumulate(noun.weight for noun in nouns))


@cache
def adjectives_for(noun: Noun) -> tuple[Adjective, ...]:
    """Adjectives that go with a noun."""
    fitting = {group for group, tags in GROUPS.items() if noun.tags & set(tags.split())}
    return tuple(word for word in lexicon().adjectives if word.group in fitting)


@cache
def modifiers() -> tuple[Modifier, ...]:
    """First parts of compounds."""
    rows = ([part.strip() for part in line.split("|")] for line in lines_of("modifiers.txt"))
    return tuple(Modifier(first, word, frozenset(tags.split())) for first, word, tags in rows)


@cache
def adverbs() -> tuple[Adverb, ...]:
    """Adverbs of time and manner in the order of frequency."""
    rows = ([part.strip() for part in line.split("|")] for line in lines_of("adverbs.txt"))
    return tuple(Adverb(first, word, kind, mid == "mid") for first, word, kind, mid in rows)


@cache
def adverbs_of(kinds: tuple[str, ...]) -> tuple[tuple[Adverb, ...], tuple[float, ...]]:
    """Adverbs of some kinds and their weights: the earlier in the lexicon, the more frequent."""
    fits = tuple(word for word in adverbs() if word.kind in kinds)
    return fits, tuple(1 / (rank + 3) for rank in range(len(fits)))


@cache
def names_of(kinds: tuple[str, ...]) -> tuple[Name, ...]:
    """Names of some kinds."""
    return tuple(name for name in lexicon().names if name.kind in kinds)


class Chooser:
    """Draws words by frequency and builds phrases of them."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def chance(self, probability: float) -> bool:
        """True with the probability."""
        return self.rng.random() < probability

    def one(self, items: Sequence[Choice], weights: Iterable[float] | None = None) -> Choice:
        """One item by weight (equal weights when not given)."""
        return self.rng.choices(items, None if weights is None else list(weights))[0]

    def noun(self, tags: frozenset[str]) -> Noun:
        """Noun that a slot with these tags admits."""
        nouns, cumulated = candidates(tags)
        return self.rng.choices(nouns, cum_weights=cumulated)[0]

    def name(self, *kinds: str) -> Name:
        """Given name (he, she) or city."""
        names = names_of(kinds)
        return self.one(names, [name.weight for name in names])

    def verb(self, fits: Sequence[Verb]) -> Verb:
        """Verb by frequency."""
        return self.one(fits, [verb.weight for verb in fits])

    def adverb(self, *kinds: str) -> Adverb:
        """Adverb of one of the kinds by frequency."""
        return self.one(*adverbs_of(kinds))

    def span(self) -> Adverb:
        """Time with a number: ago, since or a clock time."""
        value = self.rng.choices(range(2, 31), [1 / rank for rank in range(2, 31)])[0]
        unit, word = self.one(UNITS, (2, 3, 3, 4))
        spelled, many = german.number(value), f"{english.number(value)} {word}s"
        kind = self.one(("past", "since", "clock"))
        if kind == "past":
            return Adverb(f"vor {spelled} {unit}", f"{many} ago", "past")
        if kind == "since":
            return Adverb(f"seit {spelled} {unit}", f"for {many}", "since")
        hour = self.rng.randint(2, 12)
        clock = (f"um {german.number(hour)} Uhr", f"at {english.number(hour)} o'clock")
        return Adverb(*clock, "any")

    def determiner(self, noun: Noun, owner: str) -> Described:
        """Noun with number and determiner; owner is the key of the clause's subject or empty."""
        mass = "mass" in noun.tags or "plural_en" in noun.tags
        kind = self.one(DETERMINERS, DETERMINER_WEIGHTS)
        if (mass or noun.english_plural is None) and kind in (*PLURAL, "jed"):
            kind = "def"
        many = kind in PLURAL or (kind != "jed" and self.chance(0.22))
        possessor = ""
        if kind == "poss":
            possessor = owner if owner and self.chance(0.75) else self.one(FIRST, (5, 2, 2))
        spelled = self.rng.choices(range(2, 13), [1 / rank for rank in range(2, 13)])[0]
        return Described(
            noun,
            plural=many and not mass and noun.english_plural is not None,
            determiner=kind,
            number=spelled if kind == "num" else 0,
            possessor=possessor,
        )

    def described(self, tags: frozenset[str], owner: str = "", plain: bool = False) -> Described:
        """Noun phrase for a slot; a plain one has neither genitive nor compound."""
        noun = self.noun(tags)
        phrase = self.determiner(noun, owner)
        fitting = adjectives_for(noun)
        if fitting and self.chance(0.24):
            adjective = self.one(fitting, [word.weight for word in fitting])
            phrase = replace(phrase, adjective=adjective)
        if plain:
            return phrase
        parts = [part for part in modifiers() if part.tags & noun.tags]
        if parts and self.chance(0.08):
            ranks = [1 / (rank + 1) for rank in range(len(parts))]
            phrase = replace(phrase, modifier=self.one(parts, ranks))
        if phrase.determiner == "def" and self.chance(0.12) and self.ownable(noun):
            phrase = replace(phrase, owner=self.owner())
        return phrase

    def ownable(self, noun: Noun) -> bool:
        """Whether somebody can own it or be related to it."""
        return not noun.tags.isdisjoint(GROUPS["thing"].split() + ["kin", "animal", "text"])

    def owner(self) -> Phrase:
        """Owner for a genitive."""
        if self.chance(0.45):
            return self.name("he", "she")
        determiner = self.one(("def", "poss"))
        possessor = self.one(FIRST) if determiner == "poss" else ""
        noun = self.noun(frozenset({"person"}))
        return Described(noun, self.chance(0.2), determiner, possessor=possessor)

    def subject(self, tags: frozenset[str], plain: bool = False) -> Phrase:
        """Subject: pronoun, name, noun or a pair."""
        draw = self.rng.random()
        if "name" in tags and draw < 0.28:
            return Pronoun(self.one(("I", "he", "she", "we", "they", "you"), (6, 5, 5, 3, 3, 2)))
        if "name" in tags and draw < 0.42:
            return self.name("he", "she")
        if "name" in tags and draw < 0.46 and not plain:
            return Pair(self.name("he"), self.name("she"))
        phrase = self.described(tags, plain=plain)
        if phrase.determiner == "indef" and phrase.noun.plural and self.chance(0.12):
            return replace(phrase, determiner="kein", plural=False)
        return phrase

    def filler(self, slot: Slot, subject: Phrase) -> Phrase:
        """Phrase for a complement."""
        owner = pronoun(subject)
        if "city" in slot.tags:
            return self.name("city")
        if "name" in slot.tags and not slot.german_preposition:
            draw = self.rng.random()
            if draw < 0.17:
                keys = [key for key in ("I", "you", "he", "she", "we") if key != owner]
                if slot.case == "dat":
                    keys.append("they")
                return Pronoun(self.one(keys))
        if "name" in slot.tags and self.chance(0.16):
            return self.name("he", "she")
        return self.described(slot.tags, owner)

    def place(self, case: str) -> Place:
        """Place where (dat) or where to (acc)."""
        tags = frozenset({"place", "bank", "coast", "law", "sight"})
        noun = self.place_noun(tags if self.chance(0.1) else frozenset({"place"}))
        pair = next(tag for tag in sorted(noun.tags) if ":" in tag)
        preposition, word = pair.split(":")
        phrase = Described(noun)
        fitting = adjectives_for(noun)
        if fitting and self.chance(0.15):
            phrase = replace(phrase, adjective=self.one(fitting))
        if case == "dat":
            return Place(phrase, preposition, word, case)
        if preposition == "an":
            return Place(phrase, "zu", "to", "dat")
        return Place(phrase, preposition, "to", case)

    def place_noun(self, tags: frozenset[str]) -> Noun:
        """Noun of a place with a preposition of its own."""
        noun = self.noun(tags)
        return noun if any(":" in tag for tag in noun.tags) else self.place_noun(tags)
