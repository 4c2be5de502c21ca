"""German inflection: determiners, adjectives, nouns, verbs, numbers."""

from __future__ import annotations

import re

from embedded.words import Noun, Verb

GENDERS = "mfnp"  # p: plural of any gender
DEFINITE = {
    "nom": ("der", "die", "das", "die"),
    "acc": ("den", "die", "das", "die"),
    "dat": ("dem", "der", "dem", "den"),
    "gen": ("des", "der", "des", "der"),
}
RELATIVE = {**DEFINITE, "dat": ("dem", "der", "dem", "denen")}
# Endings of ein, kein and the possessives; dieser and jeder differ in three cells.
EIN = {
    "nom": ("", "e", "", "e"),
    "acc": ("en", "e", "", "e"),
    "dat": ("em", "er", "em", "en"),
    "gen": ("es", "er", "es", "er"),
}
DIES = {**EIN, "nom": ("er", "e", "es", "e"), "acc": ("en", "e", "es", "e")}
WEAK = {
    "nom": ("e", "e", "e", "en"),
    "acc": ("en", "e", "e", "en"),
    "dat": ("en", "en", "en", "en"),
    "gen": ("en", "en", "en", "en"),
}
MIXED = {**WEAK, "nom": ("er", "e", "es", "en"), "acc": ("en", "e", "es", "en")}
STRONG = {**DIES, "gen": ("en", "er", "en", "er")}

# present: ich, du, er, wir; past: ich
IRREGULAR = {
    "sein": (("bin", "bist", "ist", "sind"), "war", "gewesen"),
    "haben": (("habe", "hast", "hat", "haben"), "hatte", "gehabt"),
    "werden": (("werde", "wirst", "wird", "werden"), "wurde", "worden"),
    "können": (("kann", "kannst", "kann", "können"), "konnte", ""),
    "müssen": (("muss", "musst", "muss", "müssen"), "musste", ""),
    "wollen": (("will", "willst", "will", "wollen"), "wollte", ""),
    "sollen": (("soll", "sollst", "soll", "sollen"), "sollte", ""),
    "dürfen": (("darf", "darfst", "darf", "dürfen"), "durfte", ""),
    "möchten": (("möchte", "möchtest", "möchte", "möchten"), "möchte", ""),
    "wissen": (("weiß", "weißt", "weiß", "wissen"), "wusste", "gewusst"),
}
INSEPARABLE = ("be", "ge", "er", "ver", "zer", "ent", "emp", "über", "unter")
CONTRACTED = {
    "in dem": "im", "an dem": "am", "in das": "ins", "an das": "ans", "von dem": "vom",
    "zu dem": "zum", "zu der": "zur", "auf das": "aufs", "bei dem": "beim",
}  # fmt: skip


def column(gender: str, plural: bool) -> int:
    """Column of a gender and number in the tables."""
    return GENDERS.index("p" if plural else gender)


def noun_form(noun: Noun, case: str, plural: bool) -> str:
    """Noun in a case and number."""
    if plural:
        assert noun.plural is not None
        many = noun.plural
        return many + "n" if case == "dat" and not many.endswith(("n", "s")) else many
    if noun.weak and case != "nom":
        assert noun.plural is not None
        return noun.plural + ("s" if noun.german == "Buchstabe" and case == "gen" else "")
    if case == "gen" and noun.gender != "f":
        return noun.german + genitive_ending(noun.german)
    return noun.german


def genitive_ending(word: str) -> str:
    """Genitive ending of a strong masculine or neuter noun: es after one syllable or a hiss."""
    syllables = len(re.findall(r"[aeiouäöüy]+", word.lower()))
    if word.endswith(("s", "ß", "z", "x")):
        return "es"
    short = syllables == 1 and word[-1] not in "aeiouäöüyhlm" and not word.endswith(("rn", "w"))
    return "es" if short else "s"


def contract(preposition: str, phrase: str) -> str:
    """Preposition and phrase, fused where German fuses them (in dem: im)."""
    first, _, rest = phrase.partition(" ")
    fused = CONTRACTED.get(f"{preposition} {first}")
    return f"{fused} {rest}" if fused else f"{preposition} {phrase}"


def linked(stem: str) -> str:
    """Stem with the e that t, d and clusters such as ffn need before an ending."""
    return stem + "e" if re.search(r"([td]|[^aeiouäöülrhmn][nm])$", stem) else stem


def stem_of(verb: Verb) -> str:
    """Stem of the infinitive."""
    word = verb.german
    return word[:-2] if word.endswith("en") else word[:-1]


def present(verb: Verb, person: int, plural: bool) -> str:
    """Present without prefix."""
    if verb.german in IRREGULAR:
        return IRREGULAR[verb.german][0][3 if plural else person - 1]
    if plural:
        return verb.german
    stem = stem_of(verb)
    if person == 1:
        return (stem[:-2] + "l" if stem.endswith("el") else stem) + "e"
    third = verb.german_forms[0] if verb.german_forms else linked(stem) + "t"
    return third if person == 3 else second_person(third, stem)


def second_person(third: str, stem: str) -> str:
    """The du form of the present from the er form."""
    if third.endswith("dt") or not stem.endswith("t") or third.endswith("et"):
        third = third[:-1]
    return third + ("t" if third.endswith(("s", "ß", "z", "x")) else "st")


def past(verb: Verb, person: int, plural: bool) -> str:
    """Simple past without prefix."""
    if verb.german in IRREGULAR:
        base = IRREGULAR[verb.german][1]
    else:
        base = verb.german_forms[1] if verb.german_forms else linked(stem_of(verb)) + "te"
    if plural:
        return base + ("n" if base.endswith("e") else "en")
    return base + "st" if person == 2 else base


def participle(verb: Verb) -> str:
    """Past participle with prefix."""
    if verb.german in IRREGULAR:
        return IRREGULAR[verb.german][2]
    if verb.german_forms:
        return verb.prefix + verb.german_forms[2]
    bare = verb.german.startswith(INSEPARABLE) or verb.german.endswith("ieren")
    return verb.prefix + ("" if bare else "ge") + linked(stem_of(verb)) + "t"


def infinitive(verb: Verb, with_zu: bool = False) -> str:
    """Infinitive with prefix, on demand with zu (anzurufen, zu rufen)."""
    if not with_zu:
        return verb.prefix + verb.german
    return f"{verb.prefix}zu{verb.german}" if verb.prefix else f"zu {verb.german}"


def finite(verb: Verb, tense: str, person: int, plural: bool) -> str:
    """Finite form without prefix; tense is pres or past."""
    return (present if tense == "pres" else past)(verb, person, plural)


UNITS = [
    "null",
    "ein",
    "zwei",
    "drei",
    "vier",
    "fünf",
    "sechs",
    "sieben",
    "acht",
    "neun",
    "zehn",
    "elf",
    "zwölf",
    "dreizehn",
    "vierzehn",
    "fünfzehn",
    "sechzehn",
    "siebzehn",
    "achtzehn",
    "neunzehn",
]
TENS = [
    "-",
    "-",
    "zwanzig",
    "dreißig",
    "vierzig",
    "fünfzig",
    "sechzig",
    "siebzig",
    "achtzig",
    "neunzig",
]


def number(value: int) -> str:
    """Number from 2 to 99 in words, units before tens."""
    if value < 20:
        return UNITS[value]
    tens, unit = divmod(value, 10)
    return (f"{UNITS[unit]}und" if unit else "") + TENS[tens]
