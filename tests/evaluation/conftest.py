"""Small models of fairseq's tasks, each trained once, when a test first asks for it."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import LSTM, TRAINING, train_here

ONE = (
    "--encoder-embed-dim 16 --encoder-ffn-embed-dim 32 --encoder-layers 1 "
    "--encoder-attention-heads 2 --decoder-embed-dim 16 --decoder-ffn-embed-dim 32 "
    "--decoder-layers 1 --decoder-attention-heads 2"
)
TRANSFORMER = f"--arch transformer {ONE} --share-all-embeddings"
LONGER = "--max-update 80 --dropout 0 --lr 0.02"  # until it says this and that
PAIRS = "--encoder-langtok src --decoder-langtok --langs de,en"
SIMPLE = "--task translation_multi_simple_epoch"
LEV = f"--task translation_lev {ONE} --share-all-embeddings --criterion nat_loss"
CROSS = "--criterion cross_entropy"
ENCODER = (
    "--encoder-embed-dim 16 --encoder-ffn-embed-dim 32 --encoder-layers 1 "
    "--encoder-attention-heads 2 --tokens-per-sample 30 --criterion masked_lm"
)
NOISE = "--mask 0.3 --mask-length subword --replace-length 1 --rotate 0.2 --tokens-per-sample 30"
SMOOTHED = "--criterion label_smoothed_cross_entropy --label-smoothing 0.1"
# data, and the flags that differ from a plain translation's
KINDS: dict[str, tuple[str, str]] = {
    "plain": ("corpus", TRANSFORMER),
    "shorter": ("corpus", f"{TRANSFORMER} --max-update 15"),
    "simple": ("tagged", f"{SIMPLE} --lang-pairs de-en {PAIRS} {TRANSFORMER} {LONGER}"),
    "two pairs": ("tagged", f"{SIMPLE} --lang-pairs de-en,en-de {PAIRS} {TRANSFORMER}"),
    "multilingual": (
        "both ways",
        f"--task multilingual_translation --lang-pairs de-en,en-de --arch multilingual_transformer "
        f"{ONE} {CROSS}",
    ),
    "lm": (
        "mono",
        "--task language_modeling --arch transformer_lm --decoder-embed-dim 16 --decoder-layers 1 "
        "--decoder-ffn-embed-dim 32 --decoder-attention-heads 2 --decoder-output-dim 16 "
        f"--decoder-input-dim 16 --tokens-per-sample 20 --sample-break-mode eos {CROSS}",
    ),
    "masked lm": ("mono", f"--task masked_lm --arch roberta {ENCODER}"),
    "multilingual masked lm": ("by language", f"--task multilingual_masked_lm --arch roberta "
                               f"{ENCODER}"),
    "denoising": ("mono", f"--task denoising {' '.join(LSTM)} {NOISE} {CROSS}"),
    "nat": ("corpus", f"{LEV} --arch nonautoregressive_transformer --noise full_mask "
            "--pred-length-offset --length-loss-factor 0.1 --src-embedding-copy"),
    "cmlm": ("corpus", f"{LEV} --arch cmlm_transformer --noise random_mask"),
}  # fmt: skip


@dataclass(frozen=True)
class Small:
    """A trained model: its checkpoint, and the data it was trained on."""

    checkpoint: str
    data: str


@pytest.fixture(scope="session")
def folders(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The corpus in forms that tasks read: with language tokens, one side alone, as text."""
    root = tmp_path_factory.mktemp("forms")
    both = root / "both"
    shutil.copytree(corpus, both)
    for path in list(both.glob("*.de-en.*")):
        shutil.copy(path, both / path.name.replace(".de-en.", ".en-de."))
    tagged = root / "tagged"
    shutil.copytree(both, tagged)
    for path in tagged.glob("dict.*.txt"):
        path.write_text(path.read_text() + "__de__ 1\n__en__ 1\n")
    mono, languages = root / "mono", root / "languages"
    _one_side(corpus, mono)
    _one_side(corpus, languages / "de")
    shutil.copy(mono / "dict.txt", languages)
    raw = root / "raw"
    raw.mkdir()
    for language in ("de", "en"):
        shutil.copy(corpus / f"dict.{language}.txt", raw)
        for split in ("train", "valid", "test"):
            text = corpus.parent / f"{split}.{language}"
            shutil.copy(text, raw / f"{split}.de-en.{language}")
    return {
        "corpus": corpus, "both ways": both, "tagged": tagged, "mono": mono,
        "by language": languages, "raw": raw,
    }  # fmt: skip


def _one_side(corpus: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    shutil.copy(corpus / "dict.de.txt", folder / "dict.txt")
    for path in corpus.glob("*.de-en.de.*"):
        shutil.copy(path, folder / path.name.replace(".de-en.de.", "."))


Trained = Callable[[str], Small]


@pytest.fixture(scope="session")
def trained(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The model of one of KINDS, trained for a few updates."""
    made: dict[str, Small] = {}

    def get(kind: str) -> Small:
        if kind not in made:
            data, flags = KINDS[kind]
            folder = tmp_path_factory.mktemp(kind.replace(" ", "-"))
            usual = f"{' '.join(TRAINING)} --max-update 30 --weight-decay 0"
            usual = usual.replace(SMOOTHED, "") if "--criterion" in flags else usual
            words = [*usual.split(), *flags.split()]
            train_here([folders[data], *words, "--save-dir", folder])
            made[kind] = Small(str(folder / "checkpoint_last.pt"), str(folders[data]))
        return made[kind]

    return get
