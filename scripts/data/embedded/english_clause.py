"""English sentences from meanings: do-support, verb chains, inversion."""

from __future__ import annotations

from dataclasses import dataclass

from embedded import english
from embedded.meaning import (
    Clause,
    Described,
    Gap,
    Name,
    Pair,
    Phrase,
    Pronoun,
    Question,
    is_human,
    person,
    plural,
    plural_english,
)
from embedded.words import Noun

OBJECTS = {"I": "me", "he": "him", "she": "her", "we": "us", "they": "them"}
POSSESSIVES = {
    "I": "my", "you": "your", "he": "his", "she": "her", "it": "its", "we": "our", "they": "their",
}  # fmt: skip
DETERMINERS = {"def": "the", "jed": "every", "viele": "many", "einige": "some", "alle": "all"}
TENSES = {  # heads before the verb, and the tense of the first word
    "pres": ([], "pres"),
    "past": ([], "past"),
    "perf": ([("have", "pp", True)], "pres"),
    "plup": ([("have", "pp", True)], "past"),
    "will": ([("will", "base", True)], "pres"),
    "prog": ([("be", "ing", True)], "pres"),
}


@dataclass(frozen=True)
class Head:
    """One word of the verb chain; operator says that it inverts and takes not."""

    word: str
    past: str
    participle: str
    following: str  # form of the next word: base, to, pp, ing
    operator: bool


def head(word: str, following: str, operator: bool) -> Head:
    """Head of an auxiliary or a verb that takes an infinitive."""
    if word in english.IRREGULAR:
        _, past, participle = english.IRREGULAR[word]
    else:
        past = participle = english.regular_past(word)
    return Head(word, past, participle, following, operator)


def phrase(meaning: Phrase, role: str = "object") -> str:
    """Phrase as subject or object."""
    if isinstance(meaning, Pronoun):
        return OBJECTS.get(meaning.key, meaning.key) if role == "object" else meaning.key
    if isinstance(meaning, Question):
        return meaning.key
    if isinstance(meaning, Name):
        return meaning.english
    if isinstance(meaning, Pair):
        return f"{phrase(meaning.left, role)} and {phrase(meaning.right, role)}"
    assert isinstance(meaning, Described)
    return described(meaning, role)


def number_of(noun: Noun, many: bool) -> str:
    """Noun in singular or plural."""
    if not many:
        return noun.english
    assert noun.english_plural is not None
    return noun.english_plural


def determiner(meaning: Described, role: str, following: str) -> str:
    """Determiner before the following word."""
    kind = meaning.determiner
    many = plural_english(meaning)
    bare = many or "mass" in meaning.noun.tags
    if meaning.owner:
        return english.genitive(phrase(meaning.owner), plural(meaning.owner))
    if kind == "indef":
        return "" if bare else english.article(following)
    if kind == "kein":
        if role == "subject":
            return "no"
        return "any" if bare else english.article(following)
    if kind == "dies":
        return "these" if many else "this"
    if kind == "poss":
        return POSSESSIVES[meaning.possessor]
    return english.number(meaning.number) if kind == "num" else DETERMINERS[kind]


def described(meaning: Described, role: str) -> str:
    """Noun phrase: determiner, adjective, modifier, noun, relative clause."""
    words = [meaning.adjective.english] if meaning.adjective else []
    if meaning.modifier:
        words.append(meaning.modifier.english)
    words.append(number_of(meaning.noun, plural(meaning)))
    words.insert(0, determiner(meaning, role, words[0]))
    if meaning.relative:
        words.append(relative(meaning.relative, is_human(meaning)))
    return " ".join(word for word in words if word)


def relative(clause: Clause, human: bool) -> str:
    """Relative clause with who or that."""
    if isinstance(clause.subject, Gap):
        return " ".join(["who" if human else "that", *statement(clause, with_subject=False)])
    return " ".join(["that", *statement(clause)])


def chain(clause: Clause, inverted: bool) -> list[Head]:
    """Verb chain from the finite verb to the main verb, with do where English needs it."""
    verb = clause.verb
    heads = [head(*parts) for parts in TENSES[clause.tense.english][0]]
    if clause.modal:
        heads += [
            head(word, then, word in english.OPERATORS) for word, then in clause.modal.english
        ]
    if clause.passive:
        heads.append(head("be", "pp", True))
    main = Head(
        verb.english, verb.english_past, verb.english_participle, "", verb.english == "be"
    )  # fmt: skip
    heads.append(main)
    if (inverted or denied(clause)) and not heads[0].operator:
        heads.insert(0, head("do", "base", True))
    return heads


def denied(clause: Clause) -> bool:
    """Whether English needs not: nicht, or kein in a complement."""
    return clause.negated or any(
        isinstance(meaning, Described) and meaning.determiner == "kein"
        for _, meaning in clause.complements
    )


def forms(clause: Clause, heads: list[Head]) -> list[str]:
    """Chain as words, each in the form that the one before asks for."""
    first = heads[0]
    tense = TENSES[clause.tense.english][1]
    many = plural_english(clause.subject)
    words = [english.finite(first.word, first.past, tense, person(clause.subject), many)]
    if first.word in ("can", "will", "should", "would"):
        words = [first.past if tense == "past" else first.word]
    for before, this in zip(heads, heads[1:], strict=False):
        if before.following == "pp":
            words.append(this.participle)
        elif before.following == "ing":
            words.append(english.progressive(this.word))
        else:
            words.append(("to " if before.following == "to" else "") + this.word)
    return words


def predicate(clause: Clause) -> list[str]:
    """Words of the predicate after be."""
    what = clause.predicate
    if what is None:
        return []
    if what.adjective and what.compared:
        return [what.adjective.english_more, "than", phrase(what.compared)]
    if what.adjective:
        return [what.adjective.english]
    if what.age:
        return [english.number(what.age), "years old"]
    assert what.job is not None
    return [english.article(what.job.english), what.job.english]


def objects(clause: Clause) -> list[str]:
    """Particle and complements in English order: bare ones first, then prepositions."""
    bare, later = [], []
    particle = clause.verb.particle
    pronoun_first = False
    for slot, meaning in clause.complements:
        if isinstance(meaning, Gap | Question):
            if slot.english_preposition:
                later.append(slot.english_preposition)
            continue
        text = phrase(meaning)
        if slot.english_preposition:
            later.append(f"{slot.english_preposition} {text}")
        else:
            bare.append(text)
            pronoun_first = isinstance(meaning, Pronoun)
    if pronoun_first:
        return [*bare, particle, *later]
    return [particle, *bare, *later]


def tail(clause: Clause) -> list[str]:
    """What follows the verb."""
    words = objects(clause) + predicate(clause)
    if clause.manner:
        words.append(clause.manner.english)
    if clause.place and clause.front != "place":
        where = f"{clause.place.english} {phrase(clause.place.phrase)}"
        words.insert(0 if "goal" in clause.verb.flags else len(words), where)
    if clause.time and not clause.time.before_verb and clause.front != "time":
        words.append(clause.time.english)
    if clause.purpose:
        words += ["in order", infinitive(clause.purpose)]
    return words


def verbs(clause: Clause, inverted: bool) -> tuple[str, list[str]]:
    """Finite verb, and the rest of the chain with not and the adverb that precedes the verb."""
    heads = chain(clause, inverted)
    first, *rest = forms(clause, heads)
    between = ["not"] if denied(clause) else []
    if clause.time and clause.time.before_verb:
        between.append(clause.time.english)
    if not heads[0].operator:
        return "", [*between, first, *rest]
    return first, [*between, *rest]


def statement(clause: Clause, with_subject: bool = True) -> list[str]:
    """Words of a clause in the order of a statement."""
    first, rest = verbs(clause, inverted=False)
    subject = [phrase(clause.subject, "subject")] if with_subject else []
    return [word for word in [*subject, first, *rest, *tail(clause)] if word]


def main(clause: Clause) -> str:
    """Main clause: statement, or question with inversion."""
    asked = [meaning for _, meaning in clause.complements if isinstance(meaning, Question)]
    if clause.front == "verb" or clause.question or asked:
        first, rest = verbs(clause, inverted=True)
        word = clause.question.english if clause.question else asked[0].key if asked else ""
        words = [word, first, phrase(clause.subject, "subject"), *rest, *tail(clause)]
        return " ".join(part for part in words if part)
    words = statement(clause)
    if clause.front == "time" and clause.time and not clause.time.before_verb:
        words.insert(0, clause.time.english)
    elif clause.front == "place" and clause.place:
        words.insert(0, f"{clause.place.english} {phrase(clause.place.phrase)}")
    return " ".join(words)


def infinitive(clause: Clause) -> str:
    """Infinitive clause with to."""
    return " ".join(word for word in ["to", clause.verb.english, *tail(clause)] if word)
