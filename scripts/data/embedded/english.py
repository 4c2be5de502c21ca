"""English inflection: plurals, verb forms, articles."""

from __future__ import annotations

import re

OPERATORS = {"be", "will", "can", "could", "should", "would", "do"}
BE = {"pres": ("am", "are", "is", "are"), "past": ("was", "were", "was", "were")}
IRREGULAR = {
    "have": ("has", "had", "had"),
    "do": ("does", "did", "done"),
    "will": ("will", "would", ""),
    "can": ("can", "could", ""),
    "should": ("should", "should", ""),
    "would": ("would", "would", ""),
    "be": ("is", "was", "been"),
    "begin": ("begins", "began", "begun"),
    "know": ("knows", "knew", "known"),
    "say": ("says", "said", "said"),
    "think": ("thinks", "thought", "thought"),
    "forget": ("forgets", "forgot", "forgotten"),
}


def doubles(verb: str) -> bool:
    """Whether the last letter doubles before -ed and -ing (one short closed syllable)."""
    return re.fullmatch(r"[^aeiou]*[aeiou][^aeiouwxy]", verb) is not None or verb == "forget"


def regular_plural(noun: str) -> str:
    """Regular plural."""
    return noun + ("es" if noun.endswith(("s", "x", "sh", "ch")) else "s")


def regular_past(verb: str) -> str:
    """Regular past."""
    if verb.endswith("e"):
        return verb + "d"
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return verb[:-1] + "ied"
    return (verb + verb[-1] if doubles(verb) else verb) + "ed"


def third_person(verb: str) -> str:
    """Third person singular of the present."""
    if verb in IRREGULAR:
        return IRREGULAR[verb][0]
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return verb[:-1] + "ies"
    return verb + ("es" if verb.endswith(("s", "x", "sh", "ch", "o")) else "s")


def progressive(verb: str) -> str:
    """The -ing form."""
    if verb.endswith("ie"):
        return verb[:-2] + "ying"
    if verb.endswith("e") and not verb.endswith("ee") and verb != "be":
        return verb[:-1] + "ing"
    return (verb + verb[-1] if doubles(verb) else verb) + "ing"


def finite(verb: str, past: str, tense: str, person: int, plural: bool) -> str:
    """Finite form of a verb with the given past; tense is pres or past."""
    if verb == "be":
        return BE[tense][3 if plural else person - 1]
    if tense == "past":
        return past
    return third_person(verb) if person == 3 and not plural else verb


def article(following: str) -> str:
    """The indefinite article before a word: a or an."""
    if following.startswith(("uni", "use", "one")):
        return "a"
    return "an" if following[0] in "aeiou" else "a"


def genitive(phrase: str, plural: bool) -> str:
    """Phrase with 's, or with ' after a plural in s."""
    return phrase + ("'" if plural and phrase.endswith("s") else "'s")


UNITS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
TENS = ["-", "-", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


def number(value: int) -> str:
    """Number from 0 to 99 in words."""
    if value < 20:
        return UNITS[value]
    tens, unit = divmod(value, 10)
    return TENS[tens] + (f"-{UNITS[unit]}" if unit else "")
