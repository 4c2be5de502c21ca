"""Random command lines of fairseq-train whose parts go together: most of them work."""

import random
from collections.abc import Mapping, Sequence

from tests.conftest import LSTM, TRAINING, TRANSFORMER

SEE = (
    "--arch see2016_lstm --encoder-embed-dim 16 --encoder-hidden-size 16 --encoder-layers 2 "
    "--decoder-embed-dim 16 --decoder-hidden-size 16 --decoder-layers 2"
).split()
FCONV = (
    "--arch fconv --encoder-embed-dim 16 --decoder-embed-dim 16 --decoder-out-embed-dim 16 "
    "--encoder-layers [(16,3)]*2 --decoder-layers [(16,3)]*2"
).split()
LIGHTCONV = (
    "--arch lightconv --encoder-embed-dim 16 --encoder-ffn-embed-dim 32 --encoder-layers 2 "
    "--encoder-attention-heads 2 --decoder-embed-dim 16 --decoder-ffn-embed-dim 32 "
    "--decoder-layers 2 --decoder-attention-heads 2 --encoder-kernel-size-list [3,3] "
    "--decoder-kernel-size-list [3,3] --ddp-backend legacy_ddp"
).split()
ARCHES: Mapping[str, Sequence[str]] = {
    "lstm": LSTM,
    "transformer": TRANSFORMER,
    "see": SEE,
    "fconv": FCONV,
    "lightconv": LIGHTCONV,
}
# what changes the network; a checkpoint without them does not fit
VARIANTS = {
    "lstm": (
        "--share-decoder-input-output-embed",
        "--encoder-freeze-embed",
        "--share-all-embeddings",
    ),
    "transformer": (
        "--share-all-embeddings",
        "--encoder-layerdrop 0.4 --decoder-layerdrop 0.4",
        "--encoder-normalize-before --decoder-normalize-before",
        "--no-token-positional-embeddings",
        "--encoder-learned-pos --layernorm-embedding",
        "--quant-noise-scalar 0.3",
        "--checkpoint-activations",
    ),
    "see": ("--decoder-attention False",),
    "fconv": (),
    "lightconv": ("--encoder-glu False", "--share-all-embeddings"),
}
ADAPTIVE = "--adaptive-softmax-cutoff 5,10 --criterion adaptive_loss"
CRITERION = "--criterion label_smoothed_cross_entropy --label-smoothing 0.1"
ANY_SALIENCY = "magnitude random snip taylor obd obd-hutchinson".split()
UNIT_SALIENCY = (
    "random taylor gate n2ps goodness-factor consuming-energy weights-power mutual-information "
    "magnitude snip"
).split()
UNITS = {
    "lstm": ("hidden", "embedding", "hidden+embedding"),
    "transformer": ("ffn", "heads", "ffn+heads"),
    "see": ("embedding",),
    "fconv": (),
    "lightconv": (),
}
OPTIMIZERS = (
    "adam", "adam --use-old-adam", "sgd", "sgd --momentum 0.9", "nag", "adagrad", "adafactor",
    "adamax", "adadelta",
)  # fmt: skip
# fairseq's own flags, each right by itself and with all others
OWN = (
    "--update-freq 2",
    "--update-freq 2,1",
    "--memory-efficient-fp16",
    "--ddp-backend legacy_ddp",
    "--ddp-backend pytorch_ddp",
    "--ddp-backend no_c10d",
    "--lr-scheduler inverse_sqrt --warmup-updates 2",
    "--lr-scheduler cosine --warmup-updates 1",
    "--lr-scheduler polynomial_decay --total-num-update 5",
    "--lr-scheduler reduce_lr_on_plateau",
    "--lr-scheduler triangular --max-lr 0.1",
    "--lr-scheduler halving --halve-after 1 --halve-every 1",
    "--save-interval-updates 1",
    "--save-interval-updates 1 --keep-interval-updates 1",
    "--save-interval-updates 2 --keep-interval-updates 1 --keep-interval-updates-pattern 2",
    "--validate-interval-updates 1",
    "--disable-validation",
    "--no-save-optimizer-state",
    "--patience 1 --validate-interval-updates 1",
    "--best-checkpoint-metric ppl",
    "--best-checkpoint-metric loss --keep-best-checkpoints 1",
    "--batch-size 8",
    "--batch-size 8 --required-batch-size-multiple 1",
    "--curriculum 1",
    "--clip-norm 0",
    "--no-last-checkpoints",
    "--sentence-avg",
    "--stop-min-lr 1e-9",
    "--max-epoch 1",
    "--train-subset valid",
    "--empty-cache-freq 1",
    "--seed 3",
    "--prune-keep-update 0",
    "--prune-keep-update 2",
)
AVERAGES = (
    "--store-ema",
    "--store-ema --ema-fp32",
    "--store-ema --ema-update-freq 2",
    "--store-ema --ema-fp32 --ema-update-freq 3",
    "--store-ema --ema-decay 0.5 --ema-start-update 2",
)


class Draw(random.Random):
    """Random choices."""

    def chance(self, p: float) -> bool:
        return self.random() < p

    def one(self, *values: object) -> str:
        return str(self.choice(values))


def plausible_flags(seed: int) -> list[str]:
    """A command line of fairseq-train, without its data; DENSE, PRUNED and GIVEN are files."""
    draw = Draw(seed)
    arch = draw.choice(list(ARCHES))
    flags = [*ARCHES[arch], *TRAINING, "--max-update", "3"]
    varied = bool(VARIANTS[arch]) and draw.chance(0.3)
    if varied:
        flags += draw.choice(VARIANTS[arch]).split()
    adaptive = arch in ("transformer", "lstm", "lightconv") and not varied and draw.chance(0.08)
    optimizer = draw.choice(OPTIMIZERS) if draw.chance(0.5) else "adam"
    flags += ["--optimizer", *optimizer.split()]
    if adaptive:
        flags = _without(flags, CRITERION) + ADAPTIVE.split()
        flags = [flag for flag in flags if flag != "--share-decoder-input-output-embed"]
    own = draw.sample(OWN, draw.choice([0, 1, 1, 2, 3]))
    # fairseq cannot copy weight normalisation, nor begin an average with another file's weights
    averages = arch != "fconv" and draw.chance(0.2)
    own += [draw.choice(AVERAGES)] * averages
    fits = not varied and not adaptive
    start = _start(draw) if fits and not averages else []
    for group in own:
        flags += group.split()
    resets = "--restore-file" not in start or "--reset-optimizer" in start
    if not resets:
        flags += ["--optimizer", "adam"]
    if draw.chance(0.93):
        has_adam = "adam" in optimizer.split() and "--fp16" not in flags
        flags += _recipe(draw, arch, has_adam and not adaptive, "PRUNED" in start, fits and resets)
    return [*flags, *start]


def _without(flags: Sequence[str], gone: str) -> list[str]:
    return " ".join(flags).replace(gone, "").split()


def _start(draw: Draw) -> list[str]:
    """Where training begins: mostly from nothing."""
    if draw.chance(0.5):
        return []
    flags = [draw.one("--finetune-from-model", "--restore-file"), draw.one("DENSE", "PRUNED")]
    if flags == ["--restore-file", "PRUNED"] or (flags[0] == "--restore-file" and draw.chance(0.6)):
        flags += ["--reset-optimizer", "--reset-lr-scheduler", "--reset-dataloader"]
        flags += ["--reset-meters"] * draw.chance(0.7)
    return flags


def _recipe(draw: Draw, arch: str, has_adam: bool, pruned: bool, penalty: bool) -> list[str]:
    if pruned and draw.chance(0.3):  # retrain: the file's masks are held
        return []
    if not pruned and penalty and draw.chance(0.08):
        return ["--prune-mask-from", "PRUNED"]
    structure = _structure(draw, arch)
    scheme = _scheme(draw, structure)
    if arch == "fconv":  # weight normalisation needs something in each row
        scheme = "class-uniform"
    saliency, schedule = _saliency(draw, arch, structure), _schedule(draw, structure)
    flags = [f"--prune-scheme={scheme}"]
    if scheme == "given":
        flags.append("--prune-given=GIVEN")
    elif ":" not in structure or structure.startswith("block"):
        much = [0.9, 0.99] if arch != "fconv" else []
        flags.append(f"--prune-sparsity={draw.one(0, 0.1, 0.3, *much)}")
    if has_adam and draw.chance(0.1) and structure in ("weight", "row"):
        saliency, schedule = ["--prune-saliency=obd-adam"], ["--prune-start=2"]
    elif penalty and structure in ("weight", "row") and draw.chance(0.1):
        schedule = [*_penalty(draw), "--prune-start=2"]
    flags += [f"--prune-structure={structure}", *saliency, *schedule]
    if draw.chance(0.2):
        flags.append(f"--prune-classes={draw.one('paper', 'layer', 'component', 'tensor')}")
    if draw.chance(0.1):
        flags.append(f"--prune-exclude={draw.one('embed', 'softmax', 'output|embed')}")
    if draw.chance(0.2):
        flags.append(f"--prune-seed={draw.one(0, 7, 2**31)}")
    if draw.chance(0.1):
        flags.append("--prune-override")
    return flags


def _structure(draw: Draw, arch: str) -> str:
    if draw.chance(0.6):
        return "weight"
    more = ["row", "block:2x2", "block:4x1"] * (arch != "fconv")
    return draw.one("2:4", "1:2", *more, *UNITS[arch], *UNITS[arch])


def _scheme(draw: Draw, structure: str) -> str:
    if structure in ("2:4", "1:2"):
        return "class-uniform"
    more = ["erk"] * (structure == "weight")
    return draw.one("class-blind", "class-uniform", "class-distribution", "given", *more)


def _saliency(draw: Draw, arch: str, structure: str) -> list[str]:
    if draw.chance(0.3):
        return []
    units = structure in UNITS[arch]
    if arch == "fconv":
        return []
    known = [*(UNIT_SALIENCY if units else ANY_SALIENCY)]
    if not units:
        known += ["wanda", "synflow"] * (arch != "lightconv")
        known += ["grasp"] * (arch in ("transformer", "lstm"))
    saliency = draw.choice(known)
    flags = [f"--prune-saliency={saliency}"]
    if saliency not in ("magnitude", "random", "synflow", "weights-power"):
        flags.append(f"--prune-score-batches={draw.one(1, 2)}")
    if not units and saliency == "random" and structure == "weight" and draw.chance(0.3):
        flags.append("--prune-ratios=magnitude")
    if structure in ("row", "block:2x2", "block:4x1") and draw.chance(0.4):
        flags.append(f"--prune-pool={draw.one('mean', 'max', 'sum', 'norm')}")
    return flags


def _schedule(draw: Draw, structure: str) -> list[str]:
    if draw.chance(0.4):
        return [f"--prune-start={draw.one(0, 1, 2, 9)}"] * draw.chance(0.7)
    kinds = ["gradual", "gradual-linear", "gradual-exponential", "gradual-threshold", "static"]
    if structure in ("2:4", "1:2"):
        kinds = ["static"]
    elif structure == "weight":
        kinds += ["set", "rigl"]
    kind = draw.choice(kinds)
    flags = [f"--prune-schedule={kind}"]
    if kind == "static":
        return flags
    flags += [f"--prune-every={draw.one(1, 2)}", f"--prune-end={draw.one(2, 3, 9)}"]
    return flags + [f"--prune-start={draw.one(0, 1)}"] * draw.chance(0.5)


def _penalty(draw: Draw) -> list[str]:
    base = "--criterion=label_smoothed_cross_entropy_"
    if draw.chance(0.5):
        return [base + "group_lasso", f"--prune-penalty-strength={draw.one(0, 1, 0.1)}"]
    kinds = ["--prune-penalty=greg-2"] * draw.chance(0.5)
    return [base + "growing", "--prune-penalty-ceiling=1", *kinds]
