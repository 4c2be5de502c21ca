"""The texts that scores compare: plain ones for sacreBLEU, Moses tokens for the tokenized BLEU.

Papers on IWSLT'15 and WMT'14 count n-grams of Moses tokens (multi-bleu.perl); sacreBLEU takes plain
text and cuts it into tokens itself (Post 2018). What data have of the two, ``--text`` says.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fairseq_prune.evaluation.scores import check_counts, read_lines
from fairseq_prune.evaluation.sentences import Sentence
from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.evaluation.unknown import count_unknown, marks_for
from fairseq_prune.files.needs import need

if TYPE_CHECKING:
    from fairseq_prune.evaluation.decode import Translations

# what the WMT'14 files of Stanford write for characters that their tools gave a meaning
STANFORD = {"##AT##": "@", "##STAR##": "*", "##UNDERSCORE##": "_"}
# a hyphen that is a token already is none inside a word
_COMPOUND = re.compile(r"(?P<split>##AT##-##AT##|@-@)|(?P<left>[^ ])-(?P<right>[^ ])")


class Moses:
    """Moses's tokenizer and detokenizer, by sacremoses.

    Args:
        language: one that sacremoses has no rules for gets its general ones, and the English list
            of abbreviations.
    """

    def __init__(self, language: str) -> None:
        module = need("sacremoses", "--text")
        self.name = f"sacremoses-{module.__version__}-{language}"
        self._tokenizer = module.MosesTokenizer(lang=language)
        self._detokenizer = module.MosesDetokenizer(lang=language)

    def plain(self, line: str) -> str:
        """Tokens as plain text: joined, HTML escapes undone, split compounds whole again."""
        for written, meant in STANFORD.items():
            line = line.replace(written, meant)
        return str(self._detokenizer.detokenize(line.split(" ")))

    def tokens(self, line: str) -> str:
        """Plain text as tokens, words with hyphens whole (no ``-a``).

        So are the tokenized BLEU of tensor2tensor's get_ende_bleu.sh and of IWSLT'14 made.
        Nothing is escaped, which BLEU would not see.
        """
        return str(self._tokenizer.tokenize(line, return_str=True, escape=False))


def split_compounds(line: str) -> str:
    """Tokens with the words at a hyphen apart, as in Vaswani et al. (2017): it adds to BLEU.

    A sed line did it there, left to right, which leaves ``b-c`` of ``a-b-c`` whole; so does this.
    """
    return _COMPOUND.sub(
        lambda found: found["split"] or f"{found['left']} ##AT##-##AT## {found['right']}", line
    )


@dataclass(frozen=True)
class Texts:
    """Translations and references, a line a sentence.

    Unknown words are what :mod:`fairseq_prune.evaluation.unknown` writes for them, so that
    sacreBLEU gives these texts the scores of their row.

    Args:
        hypotheses: for sacreBLEU and chrF.
        sentences: with the references for them.
        about: what those two are, a signature; None without ``--text``, where they are what
            fairseq-generate gives.
        tokens: hypotheses and references of the tokenized BLEU; None without ``--text``.
        tokenizer: where the tokens come from.
        unknown: how many unknown words there are in the hypotheses, and in the references.
    """

    hypotheses: list[str]
    sentences: list[Sentence]
    about: str | None = None
    tokens: tuple[list[str], list[str]] | None = None
    tokenizer: str | None = None
    unknown: tuple[int, int] = (0, 0)

    @property
    def references(self) -> list[str]:
        """What the hypotheses are scored against."""
        return [sentence.reference for sentence in self.sentences]


def texts_of(settings: Settings, made: "Translations", languages: tuple[str, str]) -> Texts:
    """What is to be scored of a model's translations.

    Args:
        languages: source and target.

    Raises ValueError where ``--reference`` has another number of lines, and where ``--text moses``
    finds no targets in the data.
    """
    given = None if settings.reference is None else read_lines(Path(settings.reference))
    references = made.targets if given is None else given
    check_counts(made.hypotheses, references)
    unknown = count_unknown(made.hypotheses), count_unknown(references)
    marks = marks_for([*made.targets, *references])
    hypotheses = _all(marks.in_translation, made.hypotheses)
    sentences = [
        replace(s, source=marks.in_translation(s.source), reference=marks.in_reference(s.reference))
        for s in made.sentences
    ]
    if given is not None:
        given = _all(marks.in_reference, given)
    found = _made_texts(settings, hypotheses, sentences, given, languages)
    return replace(found, unknown=unknown)


def _made_texts(
    settings: Settings,
    hypotheses: list[str],
    sentences: list[Sentence],
    given: list[str] | None,
    languages: tuple[str, str],
) -> Texts:
    targets = [sentence.reference for sentence in sentences]
    references = targets if given is None else given
    if settings.text is None:
        return Texts(hypotheses, _against(sentences, references))
    source, target = map(Moses, languages)
    if settings.text == "raw":
        found = Texts(
            hypotheses,
            _against(sentences, references),
            "text:raw",
            (_all(target.tokens, hypotheses), _all(target.tokens, references)),
            target.name,
        )
    else:
        found = _of_tokens(hypotheses, sentences, given, source, target)
    origin = "own" if given is None else "file"
    lower = all(line == line.lower() for line in found.references)
    about = f"{found.about}|ref:{origin}{'|data:lower-cased' if lower else ''}"
    return replace(found, about=about)


def _of_tokens(
    hypotheses: list[str],
    sentences: list[Sentence],
    given: list[str] | None,
    source: Moses,
    target: Moses,
) -> Texts:
    targets = [sentence.reference for sentence in sentences]
    if not any(targets):
        raise ValueError(
            "--text moses compares tokens with the subset's own target, which is not in the data."
        )
    sentences = [replace(s, source=source.plain(s.source)) for s in sentences]
    references = _all(target.plain, targets) if given is None else given
    return Texts(
        _all(target.plain, hypotheses),
        _against(sentences, references),
        f"text:moses|detok:{target.name}",
        (hypotheses, targets),
        "data",
    )


def _all(change: Callable[[str], str], lines: Sequence[str]) -> list[str]:
    return [change(line) for line in lines]


def _against(sentences: Sequence[Sentence], references: Sequence[str]) -> list[Sentence]:
    pairs = zip(sentences, references, strict=True)
    return [replace(sentence, reference=text) for sentence, text in pairs]
