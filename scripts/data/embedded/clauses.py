"""Random meanings of clauses: verb, tense, complements, modality, negation, voice."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cache

from embedded.choose import GROUPS, Chooser
from embedded.meaning import (
    COPULA,
    Adverb,
    Clause,
    Described,
    Gap,
    Modal,
    Name,
    Phrase,
    Predicate,
    Tense,
    person,
    pronoun,
)
from embedded.words import Slot, Verb, lexicon

MODALS = (
    Modal("können", (("can", "base"),)),
    Modal("müssen", (("have", "to"),)),
    Modal("wollen", (("want", "to"),)),
    Modal("gern", (("like", "to"),)),
    Modal("sollen", (("should", "base"),)),
    Modal("möchten", (("would", "base"), ("like", "to"))),
    Modal("dürfen", (("be", "pp"), ("allow", "to"))),
)
MODAL_WEIGHTS = (6, 5, 5, 3, 2, 2, 2)
PRESENT_ONLY = ("sollen", "möchten", "gern")
PRESENT, PAST = Tense("pres", "pres"), Tense("past", "past")
AGENT = Slot("dat", frozenset({"person"}), "von", "by")


@cache
def plain_verbs() -> tuple[Verb, ...]:
    """Verbs that take no clause."""
    return tuple(verb for verb in lexicon().verbs if not verb.flags & {"that", "to"})


@cache
def verbs_with(flag: str) -> tuple[Verb, ...]:
    """Verbs with a flag."""
    return tuple(verb for verb in lexicon().verbs if flag in verb.flags)


class ClauseWriter:
    """Draws clauses; every method takes its randomness from one chooser."""

    def __init__(self, rng: random.Random) -> None:
        self.choose = Chooser(rng)

    def tense(self, verb: Verb, subject: Phrase, when: str, adverb: Adverb | None = None) -> Tense:
        """Tense for a kind of time; German tells the past in two ways, English in one."""
        state = "state" in verb.flags
        if when == "past":
            simple = verb.german in ("haben", "sein", "wissen") or self.choose.chance(0.45)
            if person(subject) == 2 and verb is not COPULA and verb.german != "haben":
                simple = False
            return PAST if simple else Tense("perf", "past")
        if when == "future":  # without an adverb only the verb can tell
            spelled = not adverb or self.choose.chance(0.4)
            return Tense("fut" if spelled else "pres", "will")
        if when == "now":
            return PRESENT if state else Tense("pres", "prog")
        if when == "since":
            return Tense("pres", "perf")
        return Tense("perf", "perf") if when == "done" else PRESENT

    def when(self, verb: Verb) -> tuple[Adverb | None, str]:
        """Time adverb or none, and the kind of time."""
        choose = self.choose
        draw = choose.rng.random()
        if draw < 0.45:
            return None, choose.one(("any", "past", "future"), (5, 5, 1))
        if draw < 0.53:
            adverb = choose.span()
            lasting = "where" in verb.flags or "state" in verb.flags
            if adverb.kind == "since" and not lasting:
                return None, "past"
        else:
            adverb = choose.adverb("any", "habit", "past", "future", "now", "done")
        if adverb.kind == "done" and "state" in verb.flags:
            return None, "past"
        return adverb, choose.one(("any", "past")) if adverb.kind == "any" else adverb.kind

    def clause(self, simple: bool = False, kind: str = "", subject: Phrase | None = None) -> Clause:
        """Clause with any verb, or the copula; kind fixes the time and leaves the adverb out."""
        choose = self.choose
        if choose.chance(0.13) and subject is None:
            return self.copula(kind)
        verbs = plain_verbs()
        if subject is not None:
            verbs = tuple(verb for verb in verbs if "name" in verb.subject)
        verb = choose.verb(verbs)
        who = subject or choose.subject(verb.subject, simple)
        adverb, time = (None, kind) if kind else self.when(verb)
        tense = self.tense(verb, who, time, adverb)
        clause = Clause(who, verb, tense, time=adverb)
        clause = replace(clause, complements=self.complements(verb, who))
        if kind != "plup":
            clause = self.modality(clause)
        clause = self.circumstances(clause)
        if not simple:
            clause = self.enrich(clause)
        return self.negation(clause)

    def complements(self, verb: Verb, subject: Phrase) -> tuple[tuple[Slot, Phrase], ...]:
        """Fillers of the verb's slots."""
        return tuple((slot, self.choose.filler(slot, subject)) for slot in verb.slots)

    def modality(self, clause: Clause) -> Clause:
        """Clause with a modal verb now and then."""
        simple = clause.tense in (PRESENT, PAST)
        if not simple or "state" in clause.verb.flags or not self.choose.chance(0.24):
            return clause
        modal = self.choose.one(MODALS, MODAL_WEIGHTS)
        if clause.tense == PAST and modal.german in PRESENT_ONLY:
            return clause
        return replace(clause, modal=modal)

    def circumstances(self, clause: Clause) -> Clause:
        """Clause with place and manner now and then."""
        choose, flags = self.choose, clause.verb.flags
        if flags & {"goal", "placed"} or ("where" in flags and choose.chance(0.5)):
            clause = replace(clause, place=choose.place("acc" if "goal" in flags else "dat"))
        elif "state" not in flags and self.manageable(clause) and choose.chance(0.1):
            clause = replace(clause, manner=choose.adverb("manner"))
        return clause

    def manageable(self, clause: Clause) -> bool:
        """Whether an adverb of manner goes with the clause."""
        slots = clause.verb.slots
        return bool(slots) and not any(slot.german_preposition for slot in slots)

    def negation(self, clause: Clause) -> Clause:
        """Clause denied with kein or nicht now and then."""
        kinds = ("done", "since")
        busy = clause.time is not None and (clause.time.kind in kinds or clause.time.before_verb)
        subject_none = isinstance(clause.subject, Described) and clause.subject.determiner == "kein"
        if busy or subject_none or clause.passive or clause.modal in (MODALS[3], MODALS[5]):
            return clause
        if not self.choose.chance(0.13):
            return clause
        for index, (slot, phrase) in enumerate(clause.complements):
            if isinstance(phrase, Described) and phrase.determiner == "indef":
                changed = list(clause.complements)
                changed[index] = (slot, replace(phrase, determiner="kein"))
                return replace(clause, complements=tuple(changed))
        return replace(clause, negated=True)

    def copula(self, kind: str = "") -> Clause:
        """Clause with sein: adjective, comparison, profession or age."""
        choose = self.choose
        time = kind or choose.one(("any", "past"), (3, 2))
        draw = choose.rng.random()
        if draw < 0.12:
            who: Phrase = choose.name("he", "she")
            age = choose.rng.randint(2, 99)
            return Clause(who, COPULA, self.tense(COPULA, who, time), predicate=Predicate(age=age))
        if draw < 0.28:
            who = choose.name("he", "she") if choose.chance(0.6) else choose.subject(
                frozenset({"kin"})
            )  # fmt: skip
            if isinstance(who, Described):
                who = replace(who, plural=False, determiner="poss", possessor="I", owner=None)
            tag = "her_job" if pronoun(who) == "she" else "job"
            what = Predicate(job=choose.noun(frozenset({tag})))
            return Clause(who, COPULA, self.tense(COPULA, who, time), predicate=what)
        return self.quality(time)

    def quality(self, time: str) -> Clause:
        """Clause that says what somebody or something is like."""
        choose = self.choose
        group = choose.one(("live", "size", "thing", "idea", "eat", "site", "move", "any"))
        tags = frozenset(GROUPS[group].split())
        if group == "live":
            who: Phrase = choose.subject(frozenset({"person", "name"}))
        else:
            who = choose.described(tags, plain=True)
        words = [word for word in lexicon().adjectives if word.group == group]
        adjective = choose.one(words, [word.weight for word in words])
        compared: Phrase | None = None
        if choose.chance(0.25) and isinstance(who, Described):
            compared = replace(choose.described(tags, plain=True), determiner="def")
        if isinstance(who, Described) and who.determiner == "indef":
            who = replace(who, determiner="def")
        what = Predicate(adjective=adjective, compared=compared)
        clause = Clause(who, COPULA, self.tense(COPULA, who, time), predicate=what)
        return clause if compared else self.negation(clause)

    def enrich(self, clause: Clause) -> Clause:
        """Clause with a relative clause or in the passive now and then."""
        choose = self.choose
        cases = [slot.case for slot in clause.verb.slots]
        bare = cases == ["acc"] and not clause.verb.slots[0].german_preposition
        active = bare and not clause.verb.slots[0].english_preposition
        if active and "state" not in clause.verb.flags and choose.chance(0.09):
            return self.passive(clause)
        if choose.chance(0.06) and isinstance(clause.subject, Described):
            return replace(clause, subject=self.relative(clause.subject))
        if clause.complements and choose.chance(0.08):
            slot, phrase = clause.complements[-1]
            if isinstance(phrase, Described) and not phrase.owner:
                changed = (*clause.complements[:-1], (slot, self.relative(phrase)))
                return replace(clause, complements=changed)
        return clause

    def passive(self, clause: Clause) -> Clause:
        """The clause in the passive, at times with an agent."""
        patient = clause.complements[0][1]
        simple = clause.tense.english in ("pres", "past") and clause.modal != MODALS[3]
        if not isinstance(patient, Described) or patient.determiner == "poss" or not simple:
            return clause
        agent = clause.subject if isinstance(clause.subject, Described | Name) else None
        if isinstance(agent, Described) and agent.determiner == "kein":
            agent = None
        kept = ((AGENT, agent),) if agent and self.choose.chance(0.4) else ()
        tense = PAST if clause.tense.english == "past" else PRESENT
        return replace(
            clause, subject=patient, complements=kept, passive=True, tense=tense, manner=None
        )

    def relative(self, phrase: Described) -> Described:
        """Phrase with a relative clause whose gap is subject or object."""
        if phrase.determiner in ("kein", "poss") or phrase.noun.tags & {"mass", "plural_en"}:
            return phrase
        choose, bare = self.choose, Described(phrase.noun, phrase.plural)
        time = choose.one(("any", "past"))
        if "person" in phrase.noun.tags and choose.chance(0.6):
            verbs = [verb for verb in plain_verbs() if "person" in verb.subject and verb.slots]
            verb = choose.verb(verbs)
            gap: Phrase = Gap(bare)
            tense = self.tense(verb, gap, time)
            filled = self.complements(verb, gap)
            inner = self.circumstances(Clause(gap, verb, tense, filled))
            return replace(phrase, relative=inner)
        verbs = [verb for verb in plain_verbs() if self.takes(verb, phrase)]
        if not verbs:
            return phrase
        verb = choose.verb(verbs)
        who = choose.subject(verb.subject, plain=True)
        if isinstance(who, Described) and who.determiner == "kein":
            who = replace(who, determiner="def")
        tense = self.tense(verb, who, time)
        return replace(
            phrase, relative=Clause(who, verb, tense, ((verb.slots[0], Gap(bare)),))
        )  # fmt: skip

    def takes(self, verb: Verb, phrase: Described) -> bool:
        """Whether the verb has one complement only, and the noun can fill it."""
        if len(verb.slots) != 1 or "name" not in verb.subject:
            return False
        slot = verb.slots[0]
        return not slot.german_preposition and bool(slot.tags & phrase.noun.tags)
