"""Small trainings of the tasks whose batches, or whose steps, are not the translation task's.

Not here is what stock fairseq 0.12.2 itself cannot train: semisupervised_translation (KeyError in
its step), denoising with a Transformer (two flags of one name), Levenshtein and insertion models
(libnat is not built by pip).
"""

import random
from pathlib import Path
from typing import Any

from tests.conftest import LSTM, TRANSFORMER, run

COMMON = (
    "--optimizer adam --lr 0.01 --clip-norm 1 --max-tokens 200 --cpu --seed 1 --no-progress-bar "
    "--log-interval 1 --no-epoch-checkpoints --num-workers 0 --ddp-backend legacy_ddp "
    "--max-update 3"
).split()
WORDS = "--criterion cross_entropy"
NAT = (
    "--noise full_mask --criterion nat_loss --encoder-embed-dim 16 --encoder-ffn-embed-dim 32 "
    "--encoder-layers 2 --encoder-attention-heads 2 --decoder-embed-dim 16 --decoder-layers 2 "
    "--decoder-ffn-embed-dim 32 --decoder-attention-heads 2 --share-all-embeddings "
    "--apply-bert-init --dropout 0.1 --task translation_lev -s de -t en --arch "
)
MULTI = (
    "--arch multilingual_transformer --encoder-embed-dim 16 --encoder-ffn-embed-dim 32 "
    "--encoder-layers 1 --encoder-attention-heads 2 --decoder-embed-dim 16 --decoder-layers 1 "
    "--decoder-ffn-embed-dim 32 --decoder-attention-heads 2 --lang-pairs de-en,en-de "
)
SENTENCES = (
    "--encoder-embed-dim 16 --encoder-ffn-embed-dim 32 --encoder-layers 1 "
    "--encoder-attention-heads 2 --max-positions 64 "
)
DECODER = (
    "--decoder-embed-dim 16 --decoder-ffn-embed-dim 32 --decoder-layers 1 "
    "--decoder-attention-heads 2 "
)
TR = " ".join(TRANSFORMER)

# by name, the flags; the first word is the folder of the data
TASKS = {
    "translation, lstm": f"pairs -s de -t en {WORDS} " + " ".join(LSTM),
    "multilingual_translation": f"pairs --task multilingual_translation {WORDS} {MULTI}",
    "multilingual_translation, shared": "pairs --task multilingual_translation --share-encoders "
    f"--share-decoders {WORDS} {MULTI}",
    "translation_multi_simple_epoch": "pairs --task translation_multi_simple_epoch --lang-pairs "
    f"de-en --langs de,en --encoder-langtok src --decoder-langtok {WORDS} {TR}",
    "online_backtranslation": "mono --task online_backtranslation --mono-langs de,en "
    f"--valid-lang-pairs de-en --arch transformer {WORDS} {TR} --share-all-embeddings",
    "nonautoregressive_transformer": f"pairs {NAT} nonautoregressive_transformer "
    "--pred-length-offset --length-loss-factor 0.1",
    "cmlm_transformer": f"pairs {NAT} cmlm_transformer --noise random_mask",
    "iterative_nonautoregressive_transformer": f"pairs {NAT} "
    "iterative_nonautoregressive_transformer --train-step 2 --dae-ratio 0.5 --stochastic-approx",
    "nacrf_transformer": f"pairs {NAT} nacrf_transformer --crf-lowrank-approx 4 "
    "--crf-beam-approx 4 --word-ins-loss-factor 0.5",
    "language_modeling": f"text --task language_modeling --tokens-per-sample 16 {WORDS} "
    "--sample-break-mode eos --arch transformer_lm " + DECODER,
    "masked_lm": "text --task masked_lm --criterion masked_lm --sample-break-mode eos "
    "--tokens-per-sample 32 --arch roberta " + SENTENCES,
    "denoising": f"text --task denoising {WORDS} --tokens-per-sample 16 --mask 0.3 "
    "--mask-length span-poisson --poisson-lambda 2 --insert 0.1 --permute-sentences 1 "
    + " ".join(LSTM),
    "sentence_prediction": "classes --task sentence_prediction --criterion sentence_prediction "
    "--num-classes 2 --arch roberta " + SENTENCES,
    "sentence_ranking": "ranked --task sentence_ranking --criterion sentence_ranking "
    "--num-classes 2 --arch roberta " + SENTENCES,
    "speech_to_text": f"speech --task speech_to_text {WORDS} --config-yaml config.yaml "
    "--arch s2t_transformer_xs --conv-channels 16 --encoder-embed-dim 16 --encoder-layers 1 "
    "--encoder-ffn-embed-dim 32 --encoder-attention-heads 2 " + DECODER,
}  # fmt: skip


def flags_of(name: str, folder: Path) -> list[Any]:
    """The flags of a training of this name, its data and how it trains with them."""
    data, *rest = TASKS[name].split()
    return [data_of(data, folder), *rest, *COMMON]


def data_of(kind: str, folder: Path) -> Path:
    """The binarised data of a kind, made where they are not there yet."""
    where = folder / kind
    if not where.is_dir():
        {"pairs": _pairs, "mono": _mono, "text": _text, "speech": _speech}.get(kind, _labelled)(
            where
        )
    return where


def _lines(seed: int, count: int) -> list[str]:
    draw = random.Random(seed)
    words = "ab ba ca da ea fa ga ha ia ja ka la".split()
    return [" ".join(draw.choices(words, k=draw.randint(2, 8))) for _ in range(count)]


def _write(path: Path, lines: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line + "\n" for line in lines))
    return path


def _sets(where: Path, *suffixes: str, seed: int = 0) -> list[str]:
    """Three sets of lines, with each suffix the same; the flags that name them."""
    raw = where.with_name(f"{where.name}.raw")
    for number, (split, size) in enumerate((("train", 60), ("valid", 12), ("test", 12))):
        for suffix in suffixes:
            lines = _lines(seed + number, size)
            turned = [" ".join(line.upper().split()[::-1]) for line in lines]
            _write(raw / f"{split}{suffix}", turned if suffix == ".en" else lines)
    return [f"--{split}pref={raw / split}" for split in ("train", "valid", "test")]


def _pairs(where: Path) -> None:
    """Of two languages."""
    prefs = _sets(where, ".de", ".en")
    run("fairseq-preprocess", "-s", "de", "-t", "en", "--joined-dictionary", *prefs,
        f"--destdir={where}")  # fmt: skip


def _mono(where: Path) -> None:
    """As online_backtranslation reads it."""
    pairs = data_of("pairs", where.parent)
    where.mkdir()
    words = (pairs / "dict.de.txt").read_text()
    (where / "dict.txt").write_text(words + "__de__ 1\n__en__ 1\n")
    for end in ("bin", "idx"):
        for language in ("de", "en"):
            (where / language).mkdir(exist_ok=True)
            text = (pairs / f"train.de-en.{language}.{end}").read_bytes()
            (where / language / f"train.{end}").write_bytes(text)
            text = (pairs / f"valid.de-en.{language}.{end}").read_bytes()
            (where / f"valid.de-en.{language}.{end}").write_bytes(text)


def _text(where: Path) -> None:
    run("fairseq-preprocess", "--only-source", *_sets(where, ""), f"--destdir={where}")


def _labelled(where: Path) -> None:
    """Sentences with a label: one each, or two to be ranked after a first."""
    parts = ("input0", "input1", "input2") if where.name == "ranked" else ("input0",)
    for number, part in enumerate(parts):
        prefs = _sets(where, "", seed=10 * number)
        more = [] if part == "input0" else ["--srcdict", where / "input0" / "dict.txt"]
        run("fairseq-preprocess", "--only-source", *prefs, *more, f"--destdir={where / part}")
    raw = where.with_name(f"{where.name}.raw")
    names = [f"--{split}pref={raw / 'label' / split}" for split in ("train", "valid", "test")]
    for split, size in (("train", 60), ("valid", 12), ("test", 12)):
        draw = random.Random(split)
        _write(raw / "label" / split, [str(draw.randrange(2)) for _ in range(size)])
    run("fairseq-preprocess", "--only-source", *names, f"--destdir={where / 'label'}")
    for split in ("train", "valid", "test"):  # the ranking task reads them as text
        _write(where / "label" / f"{split}.label", (raw / "label" / split).read_text().split())


def _speech(where: Path) -> None:
    """Features of no speech at all, as speech_to_text reads them."""
    import numpy as np

    (where / "features").mkdir(parents=True)
    draw = np.random.default_rng(1)
    words = sorted({word for line in _lines(0, 60) for word in line.split()})
    _write(where / "dict.txt", [f"{word} 1" for word in words])
    _write(where / "config.yaml", ["vocab_filename: dict.txt", "input_feat_per_channel: 8"])
    for seed, split in enumerate(("train", "valid")):
        rows = ["id\taudio\tn_frames\ttgt_text\tspeaker"]
        for number, line in enumerate(_lines(seed, 20)):
            frames = 8 + 4 * len(line.split())
            path = where / "features" / f"{split}{number}.npy"
            np.save(path, draw.standard_normal((frames, 8)).astype(np.float32))
            rows.append(f"{number}\t{path}\t{frames}\t{line}\tnobody")
        _write(where / f"{split}.tsv", rows)
