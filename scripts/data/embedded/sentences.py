"""Patterns of sentences: each draws a meaning and says it in both languages."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

from embedded import english_clause as en
from embedded import german_clause as de
from embedded.clauses import PAST, PRESENT, ClauseWriter, plain_verbs, verbs_with
from embedded.german import contract
from embedded.meaning import (
    COPULA,
    Adverb,
    Clause,
    Described,
    Pronoun,
    Question,
    Tense,
    plural_english,
)
from embedded.words import Verb, lexicon

Texts = tuple[str, str]

WEATHER = tuple(
    Verb("", g, (), e, e + "ed", e + "ed", "", frozenset(), (), frozenset(), 1.0)
    for g, e in (("regnen", "rain"), ("schneien", "snow"))
)
WHERE, WHY = Adverb("wo", "where", ""), Adverb("warum", "why", "")
WHEN = Adverb("wann", "when", "")


@cache
def one_sense(verb: Verb) -> bool:
    """Whether the German verb has one entry only."""
    words = Counter((other.prefix, other.german) for other in lexicon().verbs)
    return words[verb.prefix, verb.german] == 1


class Writer(ClauseWriter):
    """Draws sentences, one pattern a method."""

    def fronted(self, clause: Clause) -> Clause:
        """Main clause with something other than the subject in front now and then."""
        choose = self.choose
        if clause.time and choose.chance(0.45) and clause.time.german != "schon":
            return replace(clause, front="time")
        if clause.place and clause.place.case == "dat" and choose.chance(0.25):
            return replace(clause, front="place")
        if choose.chance(0.12) and self.object_shows_case(clause):
            return replace(clause, front="object")
        return clause

    def object_shows_case(self, clause: Clause) -> bool:
        """Whether the one object can stand in front and still be seen to be an object."""
        if len(clause.complements) != 1 or clause.passive:
            return False
        slot, phrase = clause.complements[0]
        if not isinstance(phrase, Described) or slot.german_preposition:
            return False
        if phrase.determiner in ("kein", "poss", "num") or phrase.noun.weak:
            return False
        male = phrase.noun.gender == "m" and not phrase.plural
        return male and (slot.case == "acc" or clause.verb.german != "gehören")

    def statement(self) -> Texts:
        """Main clause."""
        clause = self.fronted(self.clause())
        return de.main(clause) + " .", en.main(clause) + " ."

    def question(self) -> Texts:
        """Question: yes or no, or with a question word."""
        choose = self.choose
        clause = replace(self.clause(simple=True), manner=None)
        while isinstance(clause.subject, Described) and clause.subject.determiner == "kein":
            clause = replace(self.clause(simple=True), manner=None)
        draw = choose.rng.random()
        if draw < 0.45 or clause.verb is COPULA:
            clause = replace(clause, front="verb")
        elif draw < 0.65 and "name" in clause.verb.subject:
            return self.who(clause)
        elif draw < 0.8 and self.asks_object(clause):
            slot = clause.verb.slots[0]
            key = "who" if "name" in slot.tags else "what"
            clause = replace(clause, complements=((slot, Question(key)),), negated=False)
        elif clause.place or draw < 0.9 or clause.time:
            clause = replace(clause, question=WHY)
        else:
            clause = replace(clause, question=choose.one((WHEN, WHY)), time=None)
        return de.main(clause) + " ?", en.main(clause) + " ?"

    def who(self, clause: Clause) -> Texts:
        """Question for the subject."""
        who = Question("who")
        filled = self.complements(clause.verb, who)
        tense = self.tense(clause.verb, who, "past" if "past" in clause.tense.english else "any")
        asked = replace(clause, subject=who, tense=tense, complements=filled, time=None, modal=None)
        asked = replace(asked, negated=False)
        return de.main(asked) + " ?", en.main(asked) + " ?"

    def asks_object(self, clause: Clause) -> bool:
        """Whether the one object can be asked for with wen, wem or was."""
        slots = clause.verb.slots
        if len(slots) != 1 or slots[0].german_preposition or not one_sense(clause.verb):
            return False
        human = "name" in slots[0].tags
        return "person" not in slots[0].tags or (human and slots[0].tags <= {"person", "name"})

    def subordinate(self) -> Texts:
        """Main clause with a subordinate clause before or after it."""
        choose = self.choose
        kinds = (("weil", "because"), ("wenn", "if"), ("obwohl", "although"), ("als", "when"),
                 ("bevor", "before"), ("während", "while"), ("nachdem", "after"))  # fmt: skip
        word, translated = choose.one(kinds, (7, 5, 4, 4, 2, 2, 3))
        past = word in ("als", "nachdem") or (word in ("bevor", "während") and choose.chance(0.5))
        time = "past" if past else "" if word in ("weil", "obwohl") else "any"
        main = self.clause(simple=True, kind=time)
        below = self.weather(time) if choose.chance(0.1) else self.clause(simple=True, kind=time)
        if word == "nachdem":
            below = replace(below, tense=Tense("plup", "plup"), modal=None, negated=False)
        first, second = f"{word} {de.final(below)}", " ".join([translated, *en.statement(below)])
        if choose.chance(0.4):
            main = replace(main, front="subject")
            return (
                f"{first} , {de.main(main, verb_first=True)} .",
                f"{second} , {en.main(main)} .",
            )
        main = self.fronted(main)
        return f"{de.main(main)} , {first} .", f"{en.main(main)} {second} ."

    def weather(self, kind: str) -> Clause:
        """Clause about rain or snow."""
        verb, it = self.choose.one(WEATHER, (3, 1)), Pronoun("it")
        if kind == "past" or (not kind and self.choose.chance(0.4)):
            return Clause(it, verb, PAST)
        return Clause(it, verb, Tense("pres", "prog"))

    def reported(self) -> Texts:
        """Main clause with dass."""
        choose = self.choose
        verb = choose.verb(verbs_with("that"))
        who = choose.subject(verb.subject, plain=True)
        main = Clause(who, verb, self.tense(verb, who, choose.one(("any", "past"))))
        below = self.clause(simple=True)
        first = f"{de.main(main)} , dass {de.final(below)} ."
        return first, " ".join([en.main(main), "that", *en.statement(below), "."])

    def intended(self) -> Texts:
        """Main clause with an infinitive: versucht zu, um zu."""
        choose = self.choose
        verb = choose.verb([v for v in plain_verbs() if "name" in v.subject and v.slots])
        if choose.chance(0.5):
            outer = choose.verb(verbs_with("to"))
            who = choose.subject(outer.subject, plain=True)
            main = Clause(who, outer, self.tense(outer, who, choose.one(("any", "past"))))
            below = Clause(who, verb, PRESENT, self.complements(verb, who))
            below = self.circumstances(below)
            first = f"{de.main(main)} , {de.to_infinitive(below)} ."
            return first, f"{en.main(main)} {en.infinitive(below)} ."
        main = self.clause(simple=True)
        while "name" not in main.verb.subject or main.time or main.passive or main.negated:
            main = self.clause(simple=True)
        below = Clause(main.subject, verb, PRESENT, self.complements(verb, main.subject))
        main = replace(main, purpose=below)
        return de.main(main) + " .", en.main(main) + " ."

    def joined(self) -> Texts:
        """Two main clauses with und, aber, oder, denn."""
        words = (("und", "and"), ("aber", "but"), ("denn", "because"), ("oder", "or"))
        word, translated = self.choose.one(words, (6, 5, 3, 1))
        left, right = self.clause(simple=True), self.clause(simple=True)
        comma = "" if word in ("und", "oder") else " ,"
        left = self.fronted(left)
        return (
            f"{de.main(left)}{comma} {word} {de.main(right)} .",
            f"{en.main(left)} {translated} {en.main(right)} .",
        )

    def existence(self) -> Texts:
        """Es gibt: there is."""
        choose = self.choose
        place = choose.place("dat")
        tags = frozenset({"person", "furniture", "animal", "structure", "food"})
        what = choose.described(tags, plain=True)
        kind = choose.one(("indef", "kein"), (3, 1))
        if what.determiner in ("num", "viele", "einige"):
            kind = what.determiner
        what = replace(what, determiner=kind, possessor="")
        where = contract(place.german, de.phrase(place.phrase, place.case))
        noun = en.phrase(what, "subject")
        verb = "are" if plural_english(what) else "is"
        location = f"{place.english} {en.phrase(place.phrase)}"
        if choose.chance(0.5):
            first = f"{where} gibt es {de.phrase(what, 'acc')} ."
            return first, f"{location} there {verb} {noun} ."
        return f"es gibt {de.phrase(what, 'acc')} {where} .", f"there {verb} {noun} {location} ."

    def sentence(self) -> Texts:
        """One sentence of any pattern, tidy in both languages."""
        patterns = (
            self.statement, self.question, self.subordinate, self.reported, self.intended,
            self.joined, self.existence,
        )  # fmt: skip
        pattern = self.choose.one(patterns, (58, 12, 10, 6, 4, 4, 6))
        first, second = pattern()
        return tidy(first), tidy(second)


def tidy(text: str) -> str:
    """Text with a capital first letter and its punctuation attached."""
    text = re.sub(r"( ,)+", " ,", text)
    text = re.sub(r" ,(?= [.?]| und | oder )", "", text) if " , , " in text else text
    text = re.sub(r" ,(?= [.?])", "", text)
    text = re.sub(r" ([,.?])", r"\1", text)
    return text[0].upper() + text[1:]


def sentences(seed: int) -> Iterator[Texts]:
    """Endless pairs of German and English sentences, the same for the same seed."""
    writer = Writer(random.Random(seed))
    while True:
        yield writer.sentence()
