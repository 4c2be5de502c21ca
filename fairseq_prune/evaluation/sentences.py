"""The sentences of a test set beside the results, so that a report needs neither data nor fairseq.

One line of JSON a sentence, once for each data set and way of joining its subwords.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fairseq_prune.files.strict_json import parse
from fairseq_prune.files.writing import write_text

# of the settings, those that decide the texts
_DECIDING = ("gen_subset", "remove_bpe", "source_lang", "target_lang", "has_reference")


@dataclass(frozen=True)
class Sentence:
    """A sentence of a test set.

    Args:
        source: its text, subwords joined.
        reference: the text that translations are scored against.
        source_tokens: its length in subwords, without the end of the sentence.
        rarest: the smallest count in training among the target's subwords, as fairseq's dictionary
            has it (of both languages where they share it; 0 for unknown ones); None without any.
    """

    source: str
    reference: str
    source_tokens: int
    rarest: int | None


def sentences_file(row: Mapping[str, Any]) -> str:
    """Where the sentences of a row of results are, seen from the results' folder."""
    settings = row.get("settings") or {}
    deciding = [row.get("data_digest"), *(settings.get(name) for name in _DECIDING)]
    deciding += [settings["text"]] if settings.get("text") else []
    digest = hashlib.sha256(json.dumps(deciding).encode()).hexdigest()[:16]
    return f"sentences/{digest}.jsonl"


def write_sentences(folder: Path, row: Mapping[str, Any], sentences: Sequence[Sentence]) -> str:
    """Write them below ``folder``, unless they are there; returns :func:`sentences_file`."""
    name = sentences_file(row)
    path = folder / name
    text = "".join(json.dumps(asdict(s), ensure_ascii=False) + "\n" for s in sentences)
    if not path.is_file() or path.read_bytes() != text.encode():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    return name


def read_sentences(path: Path) -> list[Sentence]:
    """The sentences of a file; raises ValueError, one sentence, where it is cut off or another."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
        if lines.pop():
            raise ValueError("cut off")
        return [_sentence(parse(line)) for line in lines]
    except (ValueError, TypeError):
        raise ValueError(f"{path} is cut off or holds no sentences.") from None


def _sentence(said: Any) -> Sentence:
    sentence = Sentence(**said)
    texts, rarest = (sentence.source, sentence.reference), sentence.rarest
    if not all(isinstance(text, str) for text in texts) or type(sentence.source_tokens) is not int:
        raise ValueError("no sentence")
    if rarest is not None and type(rarest) is not int:
        raise ValueError("no count")
    return sentence
