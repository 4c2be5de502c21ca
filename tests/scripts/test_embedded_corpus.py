"""The generator of the embedded corpus: what it promises about its sentences."""

from __future__ import annotations

import math
import random
import re
import sys
from collections import Counter, defaultdict
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

DATA = Path(__file__).parents[2] / "scripts" / "data"
sys.path.insert(0, str(DATA))

import embedded_corpus  # noqa: E402  (found through the line above)
from embedded import english, german  # noqa: E402
from embedded import english_clause as en  # noqa: E402
from embedded import german_clause as de  # noqa: E402
from embedded.choose import candidates  # noqa: E402
from embedded.meaning import COPULA, Clause, Described, Gap, Modal, Pronoun, Tense  # noqa: E402
from embedded.sentences import Writer, sentences, tidy  # noqa: E402
from embedded.words import Lexicon, Noun, Verb, lexicon  # noqa: E402

Splits = dict[str, list[tuple[str, str]]]


@pytest.fixture(scope="module")
def splits() -> Splits:
    return embedded_corpus.corpus(5000, seed=1)


@pytest.fixture(scope="module")
def stream() -> list[tuple[str, str]]:
    """Pairs as drawn, before any is left out."""
    return list(islice(sentences(11), 9_000))


@pytest.fixture(scope="module")
def words() -> Lexicon:
    return lexicon()


def noun(text: str, meaning: str = "") -> Noun:
    """Entry of a German noun, of the sense with this English word if given."""
    fits = [n for n in lexicon().nouns if n.german == text and meaning in (n.english, "")]
    assert len(fits) == 1
    return fits[0]


def verb(text: str, meaning: str = "") -> Verb:
    fits = [
        v
        for v in lexicon().verbs
        if v.prefix + v.german == text and meaning in (v.english, "") and not v.flags & {"to"}
    ]
    assert len(fits) == 1
    return fits[0]


PRESENT = Tense("pres", "pres")


# the splits


def test_the_same_seed_gives_the_same_corpus() -> None:
    assert embedded_corpus.corpus(300, seed=5) == embedded_corpus.corpus(300, seed=5)


def test_another_seed_gives_another_corpus() -> None:
    assert embedded_corpus.corpus(10, seed=5) != embedded_corpus.corpus(10, seed=6)


def test_more_pairs_leave_valid_and_test_as_they_are() -> None:
    small, large = embedded_corpus.corpus(10, seed=2), embedded_corpus.corpus(400, seed=2)
    assert small["valid"] == large["valid"] and small["test"] == large["test"]
    assert large["train"][:10] == small["train"]


def test_splits_have_the_sizes_asked_for(splits: Splits) -> None:
    assert {name: len(pairs) for name, pairs in splits.items()} == {
        "train": 5000,
        "valid": 500,
        "test": 500,
    }


def test_no_source_sentence_occurs_twice_in_all_splits(splits: Splits) -> None:
    sources = [source for pairs in splits.values() for source, _ in pairs]
    assert len(sources) == len(set(sources))


def test_no_target_of_valid_or_test_is_in_train(splits: Splits) -> None:
    train = {target for _, target in splits["train"]}
    assert not train & {target for name in ("valid", "test") for _, target in splits[name]}


def test_every_line_has_4_to_16_words(splits: Splits) -> None:
    lengths = [len(text.split()) for pairs in splits.values() for pair in pairs for text in pair]
    assert min(lengths) >= 4 and max(lengths) <= 16


@pytest.mark.parametrize("pairs", [0, -3, embedded_corpus.MOST_PAIRS + 1])
def test_a_senseless_number_of_pairs_is_refused(pairs: int) -> None:
    with pytest.raises(ValueError, match=f"--pairs must be between 1 and .* but is {pairs}"):
        embedded_corpus.corpus(pairs, seed=1)


def test_the_command_writes_six_files_and_no_temporary_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert embedded_corpus.main(["--output", str(tmp_path / "new"), "--pairs", "20"]) == 0
    files = {path.name: path for path in (tmp_path / "new").iterdir()}
    assert sorted(files) == sorted(
        f"{split}.{language}" for split in ("train", "valid", "test") for language in ("de", "en")
    )
    assert len(files["train.de"].read_text(encoding="utf-8").splitlines()) == 20
    last = capsys.readouterr().out.splitlines()[-1]
    assert str(tmp_path / "new") in last and "train 20, valid 500, test 500" in last


def test_the_command_refuses_in_one_sentence_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert embedded_corpus.main(["--output", str(tmp_path / "new"), "--pairs", "0"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_sentences_are_tidy(splits: Splits) -> None:
    for pair in splits["train"]:
        for text in pair:
            assert text[0].isupper() and text[-1] in ".?"
            assert not re.search(r"  | [,.?]|,,|,[^ ]|[,.][.?]", text), text


# frequencies


def test_word_frequencies_fall_like_zipf(splits: Splits) -> None:
    counts = Counter(word for text, _ in splits["train"] for word in re.findall(r"\w+", text))
    ranked = [count for _, count in counts.most_common(300)]
    points = [(math.log(rank), math.log(count)) for rank, count in enumerate(ranked, 1)]
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / sum(
        (x - mean_x) ** 2 for x, _ in points
    )
    assert -1.4 < slope < -0.7


def test_the_lexicon_has_several_hundred_content_words(words: Lexicon) -> None:
    assert len(words.nouns) + len(words.verbs) + len(words.adjectives) > 400


def test_nearly_every_test_word_occurs_in_train(splits: Splits) -> None:
    known = {word for text, _ in splits["train"] for word in re.findall(r"\w+", text)}
    tokens = [word for text, _ in splits["test"] for word in re.findall(r"\w+", text)]
    assert sum(word in known for word in tokens) / len(tokens) > 0.98


# one translation for one sentence


def test_a_german_sentence_has_one_translation(stream: list[tuple[str, str]]) -> None:
    seen: dict[str, str] = {}
    for source, target in stream:
        assert seen.setdefault(source, target) == target


def test_no_slot_admits_two_senses_of_a_noun_that_its_article_cannot_tell_apart(
    words: Lexicon,
) -> None:
    for entry in words.verbs:
        for tags in [entry.subject, *(slot.tags for slot in entry.slots)]:
            admitted = Counter((n.german, n.gender == "f") for n in candidates(tags)[0])
            assert max(admitted.values(), default=1) == 1


def test_entries_of_one_german_verb_differ_in_subject_or_complement(words: Lexicon) -> None:
    entries: dict[str, list[Verb]] = defaultdict(list)
    for entry in words.verbs:
        if not entry.flags & {"that", "to"}:
            entries[entry.prefix + entry.german].append(entry)
    several = [same for same in entries.values() if len(same) > 1]
    assert len(several) >= 5
    for same in several:
        for index, one in enumerate(same):
            for two in same[index + 1 :]:
                cases = [slot.german_preposition + slot.case for slot in one.slots]
                if cases == [slot.german_preposition + slot.case for slot in two.slots]:
                    shared = [a.tags & b.tags for a, b in zip(one.slots, two.slots, strict=True)]
                    assert not all([*shared, one.subject & two.subject])


@pytest.mark.parametrize(
    ("context", "word", "expected"),
    [
        ("sitzen", "Bank", "bench"),
        ("besichtigen", "Schloss", "castle"),
        ("reparieren", "Schloss", "lock"),
        ("schälen", "Birne", "pear"),
        ("wechseln", "Birne", "light bulb"),
        ("spüren", "Zug", "draught"),
        ("warten", "Zug", "train"),
        ("stehen", "Schlange", "queue"),
        ("füttern", "Schlange", "snake"),
        ("zudrehen", "Hahn", "tap"),
        ("füttern", "Hahn", "rooster"),
        ("kochen", "Gericht", "dish"),
        ("gewinnen", "Preis", "prize"),
        ("bezahlen", "Preis", "price"),
        ("streichen", "Decke", "ceiling"),
        ("schießen", "Tor", "goal"),
        ("schließen", "Tor", "gate"),
    ],
)
def test_the_verb_decides_the_sense_of_its_complement(
    context: str, word: str, expected: str
) -> None:
    (slot,) = verb(context).slots
    assert [n.english for n in candidates(slot.tags)[0] if n.german == word] == [expected]


@pytest.mark.parametrize(
    ("word", "senses"),
    [
        ("Schloss", ("castle", "lock")),
        ("Zug", ("train", "draught")),
        ("Birne", ("pear", "light bulb")),
        ("Schlange", ("snake", "queue")),
        ("Tor", ("gate", "goal")),
        ("Mutter", ("mother", "nut")),
        ("Preis", ("prize", "price")),
    ],
)
def test_both_senses_of_an_ambiguous_noun_are_frequent_enough_to_learn(
    stream: list[tuple[str, str]], word: str, senses: tuple[str, str]
) -> None:
    lines = [target for source, target in stream if re.search(rf"\b{word}\b", source)]
    assert all(sum(sense in line for line in lines) >= 3 for sense in senses)


# agreement and case


def test_nominative_articles_agree_with_the_gender(splits: Splits, words: Lexicon) -> None:
    genders: dict[str, set[str]] = defaultdict(set)
    for entry in words.nouns:
        genders[entry.german].add(entry.gender)
    plurals = {entry.plural for entry in words.nouns}
    article = {"Der": "m", "Die": "f", "Das": "n"}
    checked = 0
    for source, _ in splits["train"]:
        first, second = source.split()[:2]
        if first in article and second in genders and second not in plurals:
            assert article[first] in genders[second], source
            checked += 1
    assert checked > 100


@pytest.mark.parametrize(
    ("word", "case", "plural", "expected"),
    [
        ("Hund", "nom", False, "der alte Hund"),
        ("Hund", "acc", False, "den alten Hund"),
        ("Hund", "dat", False, "dem alten Hund"),
        ("Hund", "gen", False, "des alten Hundes"),
        ("Frau", "dat", False, "der alten Frau"),
        ("Kind", "acc", False, "das alte Kind"),
        ("Kind", "dat", True, "den alten Kindern"),
        ("Student", "acc", False, "den alten Studenten"),
        ("Auto", "dat", True, "den alten Autos"),
        ("Haus", "gen", False, "des alten Hauses"),
    ],
)
def test_article_adjective_and_noun_are_declined(
    word: str, case: str, plural: bool, expected: str
) -> None:
    old = next(a for a in lexicon().adjectives if a.german == "alt")
    assert de.phrase(Described(noun(word), plural, adjective=old), case) == expected


@pytest.mark.parametrize(
    ("kind", "case", "expected"),
    [
        ("indef", "nom", "ein alter Hund"),
        ("indef", "acc", "einen alten Hund"),
        ("kein", "dat", "keinem alten Hund"),
        ("dies", "nom", "dieser alte Hund"),
        ("jed", "acc", "jeden alten Hund"),
    ],
)
def test_adjective_endings_follow_the_determiner(kind: str, case: str, expected: str) -> None:
    old = next(a for a in lexicon().adjectives if a.german == "alt")
    meaning = Described(noun("Hund"), determiner=kind, adjective=old)
    assert de.phrase(meaning, case) == expected


def test_english_verbs_agree_with_the_subject() -> None:
    eat = verb("essen")
    assert en.main(Clause(Pronoun("he"), eat, PRESENT)) == "he eats"
    assert en.main(Clause(Pronoun("they"), eat, PRESENT)) == "they eat"
    assert en.main(Clause(Pronoun("I"), COPULA, PRESENT)) == "I am"


# word order


def bread() -> Clause:
    """He eats the bread."""
    entry = verb("essen")
    return Clause(Pronoun("he"), entry, PRESENT, ((entry.slots[0], Described(noun("Brot"))),))


def test_the_finite_verb_is_second_in_main_and_last_in_subordinate_clauses() -> None:
    assert de.main(bread()) == "er isst das Brot"
    assert de.final(bread()) == "er das Brot isst"
    assert de.main(bread(), verb_first=True) == "isst er das Brot"


def test_the_participle_closes_the_main_clause() -> None:
    assert de.main(replace(bread(), tense=Tense("perf", "past"))) == "er hat das Brot gegessen"
    assert en.main(replace(bread(), tense=Tense("perf", "past"))) == "he ate the bread"


def test_the_infinitive_follows_the_object_after_a_modal() -> None:
    must = replace(bread(), modal=Modal("müssen", (("have", "to"),)))
    assert de.main(must) == "er muss das Brot essen"
    assert de.final(must) == "er das Brot essen muss"
    assert en.main(must) == "he has to eat the bread"


def test_a_separable_prefix_goes_to_the_end_and_joins_there() -> None:
    wake = Clause(Pronoun("she"), verb("aufwachen"), PRESENT)
    assert de.main(wake) == "sie wacht auf"
    assert de.final(wake) == "sie aufwacht"
    assert de.main(replace(wake, tense=Tense("perf", "past"))) == "sie ist aufgewacht"
    assert de.to_infinitive(wake) == "aufzuwachen"
    assert en.main(wake) == "she wakes up"


def test_english_denies_and_asks_with_do() -> None:
    assert en.main(replace(bread(), negated=True)) == "he does not eat the bread"
    assert en.main(replace(bread(), front="verb")) == "does he eat the bread"
    assert de.main(replace(bread(), front="verb")) == "isst er das Brot"


def test_kein_is_a_or_any_after_not() -> None:
    entry = verb("kaufen")
    none = Described(noun("Buch"), determiner="kein")
    clause = Clause(Pronoun("I"), entry, PRESENT, ((entry.slots[0], none),))
    assert de.main(clause) == "ich kaufe kein Buch"
    assert en.main(clause) == "I do not buy a book"
    many = replace(clause, complements=((entry.slots[0], replace(none, plural=True)),))
    assert (de.main(many), en.main(many)) == ("ich kaufe keine Bücher", "I do not buy any books")


def test_a_relative_pronoun_has_the_gender_of_its_head_and_the_case_of_its_clause() -> None:
    entry = verb("kaufen")
    inner = Clause(Pronoun("I"), entry, PRESENT, ((entry.slots[0], Gap(Described(noun("Hut")))),))
    hat = Described(noun("Hut"), relative=inner)
    assert tidy(de.phrase(hat, "nom") + " .") == "Der Hut, den ich kaufe."
    assert en.phrase(hat) == "the hat that I buy"


def test_weil_clauses_end_in_a_finite_verb(splits: Splits, words: Lexicon) -> None:
    ich_wir_er = [(1, False), (2, False), (3, False), (3, True)]
    finite = set()
    for entry in words.verbs:
        for person, plural in ich_wir_er:
            for tense in ("pres", "past"):
                finite.add(entry.prefix + german.finite(entry, tense, person, plural))
    for name in german.IRREGULAR:
        for person, plural in ich_wir_er:
            for tense in ("pres", "past"):
                finite.add(german.finite(de.auxiliary(name), tense, person, plural))
    finite |= {"regnet", "regnete", "schneit", "schneite"}
    ends = [
        match.group(1)
        for source, _ in splits["train"]
        if (match := re.search(r", weil [^,]* (\w+)\.$", source))
    ]
    assert len(ends) > 50
    assert set(ends) <= finite


def test_the_finite_verb_follows_a_fronted_subordinate_clause_at_once() -> None:
    writer = Writer(random.Random(3))
    fronted = 0
    for _ in range(400):
        source, _ = writer.subordinate()
        if re.match(r"(weil|wenn|obwohl|als|bevor|während|nachdem) [^,]* , [^,]*\.$", source):
            after = source.split(" , ")[1].split()[0]
            assert after[0].islower() and after not in ("der", "die", "das", "ich", "sie", "er")
            fronted += 1
    assert fronted > 30


# single forms


@pytest.mark.parametrize(
    ("infinitive", "expected"),
    [
        ("kaufen", "gekauft"),
        ("reparieren", "repariert"),
        ("besuchen", "besucht"),
        ("öffnen", "geöffnet"),
        ("anrufen", "angerufen"),
        ("zudrehen", "zugedreht"),
        ("übersetzen", "übersetzt"),
    ],
)
def test_german_participles(infinitive: str, expected: str) -> None:
    assert german.participle(verb(infinitive)) == expected


@pytest.mark.parametrize(
    ("infinitive", "expected"),
    [("sehen", "siehst"), ("lesen", "liest"), ("arbeiten", "arbeitest"), ("einladen", "lädst"),
     ("tanzen", "tanzt"), ("füttern", "fütterst"), ("finden", "findest")],
)  # fmt: skip
def test_the_second_person_singular(infinitive: str, expected: str) -> None:
    assert german.present(verb(infinitive), 2, plural=False) == expected


def test_german_numbers_say_units_before_tens() -> None:
    assert (german.number(21), english.number(21)) == ("einundzwanzig", "twenty-one")
    assert (german.number(70), english.number(70)) == ("siebzig", "seventy")


@pytest.mark.parametrize(
    ("base", "third", "ing", "past"),
    [
        ("carry", "carries", "carrying", "carried"),
        ("drip", "drips", "dripping", "dripped"),
        ("wash", "washes", "washing", "washed"),
        ("die", "dies", "dying", "died"),
        ("open", "opens", "opening", "opened"),
        ("play", "plays", "playing", "played"),
    ],
)
def test_regular_english_verbs(base: str, third: str, ing: str, past: str) -> None:
    assert english.third_person(base) == third
    assert english.progressive(base) == ing
    assert english.regular_past(base) == past


def test_the_english_article_follows_the_sound() -> None:
    pairs = [(english.article(word), word) for word in ("apple", "dog", "university", "old")]
    assert pairs == [("an", "apple"), ("a", "dog"), ("a", "university"), ("an", "old")]


def test_german_prepositions_and_articles_fuse() -> None:
    assert german.contract("in", "dem Park") == "im Park"
    assert german.contract("zu", "der Schule") == "zur Schule"
    assert german.contract("in", "einem Park") == "in einem Park"
    assert german.contract("von", "der Frau") == "von der Frau"
