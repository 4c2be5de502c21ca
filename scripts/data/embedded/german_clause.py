"""German sentences from meanings: V2, verb-first and verb-final clauses."""

from __future__ import annotations

from dataclasses import replace

from embedded import german
from embedded.meaning import (
    Clause,
    Described,
    Gap,
    Name,
    Pair,
    Phrase,
    Pronoun,
    Question,
    person,
    plural,
)
from embedded.words import Verb

PRONOUNS = {
    "I": ("ich", "mich", "mir"),
    "you": ("du", "dich", "dir"),
    "he": ("er", "ihn", "ihm"),
    "she": ("sie", "sie", "ihr"),
    "it": ("es", "es", "ihm"),
    "we": ("wir", "uns", "uns"),
    "they": ("sie", "sie", "ihnen"),
}
POSSESSIVES = {"I": "mein", "you": "dein", "he": "sein", "we": "unser", "they": "ihr"}
QUESTIONS = {"who": ("wer", "wen", "wem"), "what": ("was", "was", "wem")}
CASES = ("nom", "acc", "dat", "gen")
TABLES = {  # determiner: its stem, its endings, the adjective's endings
    "indef": ("ein", german.EIN, german.MIXED),
    "kein": ("kein", german.EIN, german.MIXED),
    "dies": ("dies", german.DIES, german.WEAK),
    "jed": ("jed", german.DIES, german.WEAK),
    "alle": ("all", german.DIES, german.WEAK),
    "viele": ("viel", german.DIES, german.STRONG),
    "einige": ("einig", german.DIES, german.STRONG),
}


def auxiliary(name: str) -> Verb:
    """Verb entry of haben, sein, werden or a modal."""
    return Verb("", name, (), "", "", "", "", frozenset(), (), frozenset(), 0.0)


def phrase(meaning: Phrase, case: str) -> str:
    """Phrase in a case."""
    if isinstance(meaning, Pronoun):
        return PRONOUNS[meaning.key][CASES.index(case)]
    if isinstance(meaning, Question):
        return QUESTIONS[meaning.key][CASES.index(case)]
    if isinstance(meaning, Name):
        return meaning.german
    if isinstance(meaning, Pair):
        return f"{phrase(meaning.left, case)} und {phrase(meaning.right, case)}"
    if isinstance(meaning, Gap):
        index = german.column(meaning.head.noun.gender, meaning.head.plural)
        return german.RELATIVE[case][index]
    return described(meaning, case)


def determiner(meaning: Described, case: str) -> tuple[str, str]:
    """Determiner and ending of the adjective after it."""
    index = german.column(meaning.noun.gender, meaning.plural)
    kind = meaning.determiner
    if kind == "def":
        return german.DEFINITE[case][index], german.WEAK[case][index]
    if kind == "num":
        return german.number(meaning.number), german.STRONG[case][index]
    if kind == "indef" and (meaning.plural or "mass" in meaning.noun.tags):
        return "", german.STRONG[case][index]
    if kind == "poss":
        if meaning.possessor in ("it", "he"):
            stem = "sein"
        else:
            stem = POSSESSIVES.get(meaning.possessor, "ihr")
        ending = german.EIN[case][index]
        return stem + ending, german.MIXED[case][index]
    stem, endings, adjective = TABLES[kind]
    return stem + endings[case][index], adjective[case][index]


def described(meaning: Described, case: str) -> str:
    """Noun phrase: determiner, adjective, compound, genitive, relative clause."""
    article, ending = determiner(meaning, case)
    noun = german.noun_form(meaning.noun, case, meaning.plural)
    if meaning.modifier:
        noun = meaning.modifier.german + noun.lower()
    words = [article, meaning.adjective.stem + ending if meaning.adjective else "", noun]
    if isinstance(meaning.owner, Name):
        possessive = meaning.owner.german + ("'" if meaning.owner.german[-1] in "sx" else "s")
        ending = german.STRONG[case][german.column(meaning.noun.gender, meaning.plural)]
        words[:2] = [possessive, meaning.adjective.stem + ending if meaning.adjective else ""]
    elif meaning.owner:
        words.append(phrase(meaning.owner, "gen"))
    if meaning.relative:
        words += [",", final(meaning.relative), ","]
    return " ".join(word for word in words if word)


def brackets(clause: Clause) -> tuple[str, list[str]]:
    """Finite verb without prefix, and the non-finite rest in the order of a main clause."""
    chain: list[tuple[Verb, str]] = []  # verb and the form it gives the next one
    tense = clause.tense.german
    if tense == "fut":
        chain.append((auxiliary("werden"), "inf"))
    elif tense in ("perf", "plup"):
        being = "sein" in clause.verb.flags or clause.passive
        chain.append((auxiliary("sein" if being else "haben"), "part"))
    if clause.modal and clause.modal.german != "gern":
        chain.append((auxiliary(clause.modal.german), "inf"))
    if clause.passive:
        chain.append((auxiliary("werden"), "part"))
    chain.append((clause.verb, ""))
    first = chain[0][0]
    when = "past" if tense in ("past", "plup") else "pres"
    finite = german.finite(first, when, person(clause.subject), plural(clause.subject))
    rest = []
    for (_, form), (verb, _) in zip(chain, chain[1:], strict=False):
        rest.append(german.infinitive(verb) if form == "inf" else german.participle(verb))
    return finite, rest[::-1]


def predicate(clause: Clause) -> list[str]:
    """Words of the predicate after the copula."""
    what = clause.predicate
    if what is None:
        return []
    if what.adjective and what.compared:
        return [what.adjective.german_more, "als", phrase(what.compared, "nom")]
    if what.adjective:
        return [what.adjective.german]
    if what.age:
        return [german.number(what.age), "Jahre alt"]
    assert what.job is not None
    return [what.job.german]


def complements(clause: Clause) -> tuple[list[str], list[str], list[str], list[str]]:
    """Pronouns, dative, accusative and prepositional complements, as phrases."""
    light: list[str] = []
    dative: list[str] = []
    accusative: list[str] = []
    rest: list[str] = []
    for slot, meaning in clause.complements:
        if isinstance(meaning, Gap | Question):
            continue
        text = phrase(meaning, slot.case)
        if slot.german_preposition:
            rest.append(german.contract(slot.german_preposition, text))
        elif isinstance(meaning, Pronoun):
            light.append(text)
        else:
            (dative if slot.case == "dat" else accusative).append(text)
    return light, dative, accusative, rest


def middle(clause: Clause, with_subject: bool) -> list[str]:
    """Everything between the two halves of the verb, without what stands in front."""
    light, dative, accusative, rest = complements(clause)
    if clause.front == "object":
        (accusative or dative).clear()
    words = [phrase(clause.subject, "nom")] if with_subject else []
    words += light
    if clause.time and clause.front != "time":
        words.append(clause.time.german)
    if clause.modal and clause.modal.german == "gern":
        words.append("gern")
    words += dative + accusative
    if clause.negated:
        words.append("nicht")
    if clause.manner:
        words.append(clause.manner.german)
    where = [place(clause)] if clause.place and clause.front != "place" else []
    goal = "goal" in clause.verb.flags
    return words + (rest + where if goal else where + rest) + predicate(clause)


def place(clause: Clause) -> str:
    """Prepositional phrase of the place."""
    assert clause.place is not None
    return german.contract(clause.place.german, phrase(clause.place.phrase, clause.place.case))


def front(clause: Clause) -> str:
    """The phrase before the finite verb of a main clause."""
    if clause.question:
        return clause.question.german
    for slot, meaning in clause.complements:
        if isinstance(meaning, Question):
            return phrase(meaning, slot.case)
    if clause.front == "time":
        assert clause.time is not None
        return clause.time.german
    if clause.front == "place":
        return place(clause)
    if clause.front == "object":
        _, dative, accusative, _ = complements(clause)
        return (accusative or dative)[0]
    return phrase(clause.subject, "nom")


def main(clause: Clause, verb_first: bool = False) -> str:
    """Main clause: verb second, or verb first in questions and after a subordinate clause."""
    finite, rest = brackets(clause)
    verb_first = verb_first or clause.front == "verb"
    words = [] if verb_first else [front(clause)]
    asked = clause.question or any(isinstance(m, Question) for _, m in clause.complements)
    subject_later = verb_first or clause.front != "subject" or bool(asked)
    prefix = [] if rest else [clause.verb.prefix]
    words += [finite, *middle(clause, subject_later), *prefix, *rest]
    if clause.purpose:
        words += [",", "um", to_infinitive(clause.purpose)]
    return " ".join(word for word in words if word)


def final(clause: Clause) -> str:
    """Subordinate clause without its conjunction: the finite verb at the end."""
    finite, rest = brackets(clause)
    ending = finite if rest else clause.verb.prefix + finite
    straight = replace(clause, front="subject")
    relative = [m for _, m in clause.complements if isinstance(m, Gap)]
    words = [relative_pronoun(clause)] if relative else []
    return " ".join([*words, *middle(straight, True), *rest, ending])


def relative_pronoun(clause: Clause) -> str:
    """Relative pronoun of a gap among the complements."""
    for slot, meaning in clause.complements:
        if isinstance(meaning, Gap):
            text = phrase(meaning, slot.case)
            return f"{slot.german_preposition} {text}" if slot.german_preposition else text
    raise AssertionError("no gap")


def to_infinitive(clause: Clause) -> str:
    """Infinitive clause with zu."""
    return " ".join([*middle(clause, False), german.infinitive(clause.verb, True)])
