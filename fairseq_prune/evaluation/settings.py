"""How checkpoints are evaluated: settings that decide the numbers, and a digest of the data."""

import glob
import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from fairseq_prune.evaluation import TEXTS
from fairseq_prune.evaluation.subwords import FLAGS, JOINED_BY, missing_join, subwords_in
from fairseq_prune.files.needs import need
from fairseq_prune.files.writing import file_digest
from fairseq_prune.tasks.own import Given, OwnTask, folders_of, parse_overrides

# left out of what identifies a result where they are not given: results that are older than these
# settings stay known
_FEWEST = 0.05  # of a dictionary's words: fewer that look like subwords may be words
_ABSENT: dict[str, Any] = {
    "text": None, "split_compounds": False, "dataset_impl": None, "model_overrides": None,
    "iter_decode_max_iter": None, "iter_decode_eos_penalty": None,
    "iter_decode_force_max_iter": False, "also": (),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to decode, and how.

    Args:
        data: folder made by fairseq-preprocess, or several with colons between them.
        gen_subset, valid_subset: the split to translate; the split for the perplexity that
            training looks at, or None.
        beam, lenpen: of the beam search.
        max_len_a, max_len_b: a translation has at most a * (source length) + b tokens.
        max_tokens, batch_size: of a batch; fairseq-generate's default where both are None.
        remove_bpe: how subwords are joined, as for fairseq-generate.
        source_lang, target_lang: the checkpoint's where None, or else the data's.
        reference: raw target text, or None to score against the data set's own.
        text: one of TEXTS, to have the tokenized BLEU beside sacreBLEU; None: sacreBLEU alone, of
            the lines as they are.
        split_compounds: have the tokenized BLEU with split compounds, too.
        dataset_impl: how the data are stored, as for fairseq-train; None to find out.
        model_overrides: settings of the checkpoint to replace, as for fairseq-generate.
        also: other subsets to translate and score beside it, ``SUBSET`` or ``SUBSET=FILE`` with raw
            target text.
        iter_decode_max_iter, iter_decode_eos_penalty, iter_decode_force_max_iter: of models that
            refine whole sentences, as for fairseq-generate; its defaults where None.
        user_dir: a plugin that the checkpoints need.
        cpu: leave a GPU alone.
    """

    data: str
    gen_subset: str = "test"
    valid_subset: str | None = "valid"
    beam: int = 5
    lenpen: float = 1.0
    max_len_a: float = 0.0
    max_len_b: int = 200
    max_tokens: int | None = None
    batch_size: int | None = None
    remove_bpe: str | None = None
    source_lang: str | None = None
    target_lang: str | None = None
    reference: str | None = None
    text: str | None = None
    split_compounds: bool = False
    dataset_impl: str | None = None
    model_overrides: str | None = None
    also: Sequence[str] = ()
    iter_decode_max_iter: int | None = None
    iter_decode_eos_penalty: float | None = None
    iter_decode_force_max_iter: bool = False
    user_dir: str | None = None
    cpu: bool = False

    def check(self) -> "Settings":
        """The settings themselves; raises ValueError, one sentence, where they cannot work."""
        folder = folders_of(self.data)[0]
        if (folder / "input0" / "dict.txt").is_file():
            raise ValueError(
                f"--data {self.data} is for classifiers, which have no translations; use "
                "fairseq-prune classify."
            )
        for each in folders_of(self.data)[1:]:
            if not each.is_dir():
                raise ValueError(f"--data {self.data} names {each}, which is not a folder.")
        self._check_subsets(folder)
        if self.reference is not None and not Path(self.reference).is_file():
            raise ValueError(
                f"--reference {self.reference} is not a file; give the raw target text of the "
                f"{self.gen_subset} set."
            )
        for other in self.others:
            other._check_subsets(folder)
            if other.reference is not None and not Path(other.reference).is_file():
                raise ValueError(
                    f"--also {other.gen_subset}={other.reference} names no file; give the raw "
                    "target text of that set."
                )
        subsets = [self.gen_subset, *(other.gen_subset for other in self.others)]
        if len(set(subsets)) < len(subsets):
            raise ValueError(f"--also names {subsets[-1]} twice, or the set that is scored anyway.")
        self.check_decoding()
        return self.check_text()

    def check_decoding(self) -> None:
        """Raise ValueError where there are no dictionaries, or nothing can be decoded so."""
        self._check_dictionaries(folders_of(self.data)[0])
        self.check_search()

    def check_search(self) -> None:
        """Raise ValueError where nothing can be decoded so, whatever the data."""
        for name in ("batch_size", "max_tokens"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValueError(f"--{name.replace('_', '-')} {value} must be 1 or more.")
        if self.beam < 1:
            raise ValueError(f"--beam {self.beam} must be 1 or more.")
        if self.iter_decode_max_iter is not None and self.iter_decode_max_iter < 0:
            raise ValueError(
                f"--iter-decode-max-iter {self.iter_decode_max_iter} must be 0 or more."
            )
        parse_overrides(self.model_overrides)

    def _check_dictionaries(self, folder: Path) -> None:
        if not self._dictionaries(folder):
            raise ValueError(
                f"--data {self.data} holds no dict.*.txt; give the folder that fairseq-preprocess "
                "made."
            )

    def _check_subsets(self, folder: Path) -> None:
        self._check_dictionaries(folder)
        for subset in filter(None, (self.gen_subset, self.valid_subset)):
            if Path(subset).name != subset or not self._subset(folder, subset):
                known = {p.name.split(".")[0] for p in folder.rglob("*.idx")}
                raise ValueError(
                    f"--data {self.data} has no subset {subset!r}; it has "
                    f"{' and '.join(sorted(known))}."
                )
            stored = any(p.suffix == ".idx" for p in self._subset(folder, subset))
            if not stored and self.dataset_impl is None:
                raise ValueError(
                    f"--data {self.data} has {subset} as text and not binarised; give "
                    "--dataset-impl raw."
                )

    def _dictionaries(self, folder: Path) -> list[Path]:
        """Those of each language, or else the one of them all."""
        return sorted(folder.glob("dict.*.txt")) or sorted(folder.glob("dict.txt"))

    def _subset(self, folder: Path, subset: str) -> list[Path]:
        """The files of a subset; below the folder where each language has one of its own."""
        name = f"{glob.escape(subset)}.*"
        return sorted(folder.glob(name)) or sorted(folder.glob(f"*/{name}"))

    def has_targets(self) -> bool:
        """Whether the subset to translate has reference translations in the data."""
        # SUBSET.SOURCE-TARGET.LANGUAGE, with .bin and .idx where it is binarised
        names = [
            path.name.split(".") for path in self._subset(folders_of(self.data)[0], self.gen_subset)
        ]
        return any(len(n) > 2 and n[2] == n[1].partition("-")[2] for n in names)

    @property
    def others(self) -> list["Settings"]:
        """Those of the subsets that are scored beside this one."""
        parted = (one.partition("=") for one in self.also)
        return [
            replace(self, gen_subset=subset, reference=file or None, also=())
            for subset, _, file in parted
        ]

    def given(self) -> Given:
        """What is said of the checkpoints' tasks."""
        return Given(
            data=self.data,
            source_lang=self.source_lang,
            target_lang=self.target_lang,
            dataset_impl=self.dataset_impl,
            model_overrides=self.model_overrides,
            user_dir=self.user_dir,
        )

    def check_task(self, own: OwnTask, command: str) -> None:
        """Raise ValueError, one sentence, where a checkpoint's task does not go with a command."""
        own.check_text(command)
        pair = own.pair(self.given())
        for name in ("reference", "text"):
            if getattr(self, name) is not None:
                own.check_translates(f"--{name}")
        languages = [own.values.get("source_lang"), own.values.get("target_lang")]
        if not own.translates or own.pairs or pair or any(languages):
            return
        files = self._subset(folders_of(self.data)[0], self.gen_subset)
        parts = {path.name.split(".")[1] for path in files}
        pairs = sorted(part for part in parts if part.count("-") == 1)
        if len(pairs) > 1:
            raise ValueError(
                f"--data {self.data} has {self.gen_subset} in several language pairs "
                f"({', '.join(pairs)}), and {own.path} does not say which is its own: name one "
                "with -s and -t."
            )

    def check_text(self) -> "Settings":
        """The settings themselves; raises ValueError where those of the texts cannot work."""
        if self.text is None:
            if self.split_compounds:
                raise ValueError(
                    "--split-compounds is for the tokenized BLEU; give --text raw or --text moses "
                    "with it."
                )
            return self
        if self.text not in TEXTS:
            raise ValueError(f"--text {self.text} must be {' or '.join(TEXTS)}.")
        need("sacremoses", f"--text {self.text}")
        return self

    def looks_escaped(self) -> bool:
        """Whether the target has Moses's HTML escapes, as far as its dictionary tells."""
        return any("apos;" in word or "quot;" in word for word in self._target_words())

    def doubts(self) -> list[str]:
        """A sentence for each setting that does not go with the target's dictionary.

        The scores would be of something else than the text: of tokens, or of subwords.
        """
        found = []
        if self.text is None and self.looks_escaped():
            found.append(
                "the target has HTML escapes (&apos; or &quot;), so sacreBLEU would be of tokens; "
                "give --text moses."
            )
        mark = self.subwords()
        if mark is not None and self.remove_bpe not in JOINED_BY[mark]:
            found.append(f"the target is in subwords ({mark}), so {missing_join(mark)}")
        return found

    def subwords(self) -> str | None:
        """The mark of the target dictionary's subwords; None where it holds words."""
        return subwords_in(self._target_words(), _FEWEST)

    def joining(self) -> list[str]:
        """The words that join the target's subwords in a command; none where it holds words."""
        mark = self.subwords()
        return [] if mark is None else FLAGS[mark].split()

    def unused(self, tasks: Sequence[OwnTask]) -> list[str]:
        """A sentence for each setting that a checkpoint's way of decoding has no use for."""
        found = []
        beam = {"beam": 5, "lenpen": 1.0, "max_len_a": 0.0, "max_len_b": 200}
        refining = ("max_iter", "eos_penalty", "force_max_iter")
        iterations = {f"iter_decode_{name}": _ABSENT[f"iter_decode_{name}"] for name in refining}
        for own in tasks:
            useless = beam if own.refines else iterations
            given = [name for name, usual in useless.items() if getattr(self, name) != usual]
            if given:
                flags = ", ".join("--" + name.replace("_", "-") for name in given)
                how = "without a beam" if own.refines else "by beam search"
                found.append(f"{own.path} decodes {how}, so {flags} changes nothing of it.")
        return found

    def _target_words(self) -> list[str]:
        """The words of the target's dictionary."""
        folder = folders_of(self.data)[0]
        pairs = [p.name.split(".")[1].split("-") for p in folder.glob(f"{self.gen_subset}.*-*.*")]
        language = self.target_lang or next((pair[-1] for pair in pairs), "*")
        return [
            line.rpartition(" ")[0]
            for path in folder.glob(f"dict.{language}.txt")
            for line in path.read_text(encoding="utf-8", errors="replace").split("\n")
        ]

    def fairseq_flags(self) -> list[str]:
        """The flags of a ``fairseq-generate`` that does the same, but for those of a task."""
        flags = [self.data, "--path", "-", "--gen-subset", self.gen_subset]
        flags += ["--beam", str(self.beam), "--lenpen", str(self.lenpen)]
        flags += ["--max-len-a", str(self.max_len_a), "--max-len-b", str(self.max_len_b)]
        optional = {
            "--max-tokens": self.max_tokens,
            "--batch-size": self.batch_size,
            "--remove-bpe": self.remove_bpe,
            "--source-lang": self.source_lang,
            "--target-lang": self.target_lang,
            "--iter-decode-max-iter": self.iter_decode_max_iter,
            "--iter-decode-eos-penalty": self.iter_decode_eos_penalty,
            "--user-dir": self.user_dir,
        }
        for flag, value in optional.items():
            if value is not None:
                flags += [flag, str(value)]
        flags += ["--iter-decode-force-max-iter"] if self.iter_decode_force_max_iter else []
        return flags + (["--cpu"] if self.cpu else [])

    def deciding(self) -> dict[str, Any]:
        """What decides the numbers, wherever the files lie."""
        places = ("data", "reference", "user_dir", "cpu")
        values = {
            name: value
            for name, value in asdict(self).items()
            if name not in places and not (name in _ABSENT and value == _ABSENT[name])
        }
        values.pop("also", None)
        if self.others:  # wherever the references lie
            values["also"] = [o.gen_subset + "=" * bool(o.reference) for o in self.others]
        return {**values, "has_reference": self.reference is not None}

    def data_digest(self) -> str:
        """A digest of dictionaries, the evaluated subsets and the reference."""
        first, *more = folders_of(self.data)
        files = self._dictionaries(first)
        others = self.others
        subsets = (self.gen_subset, self.valid_subset, *(other.gen_subset for other in others))
        for folder in (first, *more):
            for subset in filter(None, subsets):
                files += self._subset(folder, subset)
        files += [Path(s.reference) for s in (self, *others) if s.reference is not None]
        digest = hashlib.sha256()
        for path in files:
            digest.update(file_digest(path).encode())
        return digest.hexdigest()[:16]
