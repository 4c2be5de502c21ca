"""The settings of a checkpoint as flags: fairseq's own parser makes the same of them again."""

import shlex
from argparse import Namespace
from typing import Any

import pytest
from fairseq import options
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from omegaconf import OmegaConf

import fairseq_prune
from fairseq_prune.tasks.command_line import plain_value, training_flags
from tests.conftest import ARCHES, TRAINING
from tests.models.test_nested import NESTED

fairseq_prune.register()

PLACES = (
    "--save-dir elsewhere --restore-file x.pt --reset-optimizer --no-save --user-dir fairseq_prune "
    "--log-file log --tensorboard-logdir runs --distributed-port 4000 --distributed-world-size 2 "
    "--device-id 1 --finetune-from-model dense.pt --optimizer-overrides {}"
).split()
TASKS = {"transformer_lm": "language_modeling", "transformer_ulm": "speech_unit_modeling"}
CASES = {
    "lstm": ARCHES["lstm"],
    "lstm without attention": [*ARCHES["lstm"], "--decoder-attention", "False"],
    "transformer": ARCHES["transformer"],
    "a size's own defaults": "--arch transformer_iwslt_de_en --decoder-ffn-embed-dim 2048".split(),
    "half a size": "--arch transformer --encoder-ffn-embed-dim 32 --encoder-embed-dim 8".split(),
    "switches off": "--arch lstm --left-pad-source --fp16-no-flatten-grads".split(),
    "texts with spaces and quotes": [
        *"--arch transformer --adam-betas".split(), "(0.9, 0.98)", "--eval-bleu",
        "--eval-bleu-args", '{"beam": 5, "lenpen": 0.6}', "--eval-bleu-remove-bpe=@@ ",
        "--eval-bleu-detok", "it's moses",
    ],
    "numbers below zero and lists": (
        "--arch transformer --lr 0.5,0.25 --update-freq 4,2,1 --lr-scheduler inverse_sqrt "
        "--warmup-init-lr=-1e-07 --warmup-updates 40 --keep-last-epochs 3"
    ).split(),
    "another way to end": (
        "--arch transformer --lr-scheduler polynomial_decay --total-num-update 500 --max-update "
        "600 --power 2 --stop-min-lr 1e-09 --patience 3 --best-checkpoint-metric bleu "
        "--maximize-best-checkpoint-metric"
    ).split(),
    "validation of its own": "--arch transformer --max-tokens-valid 77 --batch-size 8".split(),
    "shrunk": (
        "--arch shrunk_transformer --encoder-layers 2 --decoder-layers 2 --encoder-ffn-widths 4,5 "
        "--decoder-ffn-widths 6,7 --encoder-heads 1,2 --decoder-heads 1,1 --head-dim 4 "
        "--decoder-cross-heads 2,1 --share-all-embeddings"
    ).split(),
    "shrunk lstm": (
        "--arch shrunk_lstm --encoder-hidden-sizes 4 --decoder-hidden-sizes 5 "
        "--decoder-attention-dim 3 --encoder-hidden-proj True --decoder-additional-fc False"
    ).split(),
    "lightconv": (
        "--arch lightconv --encoder-kernel-size-list [3,3] --decoder-kernel-size-list [3,5] "
        "--encoder-layers 2 --decoder-layers 2"
    ).split(),
    "fconv": ["--arch", "fconv", "--encoder-layers", "[(16, 3)] * 2"],
    "a language model": (
        "--task language_modeling --arch transformer_lm_gpt --tokens-per-sample 32 "
        "--sample-break-mode eos --adaptive-softmax-cutoff 8,16"
    ).split(),
    "a shrunk language model": (
        "--task language_modeling --arch shrunk_transformer_lm --decoder-layers 2 "
        "--decoder-ffn-widths 4,5 --decoder-heads 1,2 --head-dim 4"
    ).split(),
    "one model for several languages": (
        "--task translation_multi_simple_epoch --lang-pairs de-en,fr-en --langs de,en,fr "
        "--encoder-langtok src --decoder-langtok --arch transformer --decoder-layers 2"
    ).split(),
    "a classifier": (
        "--task sentence_prediction --arch embedding_bag --num-classes 4 --embed-dim 8 "
        "--criterion sentence_prediction --optimizer sgd --momentum 0.5 --lr 5 --batch-size 16"
    ).split(),
    "our schedule": (
        "--arch see2016_lstm --lr-scheduler halving --halve-after 8 --halve-every 1"
    ).split(),
    "averages": "--arch transformer --store-ema --ema-decay 0.99 --ema-fp32".split(),
    "half precision": "--arch transformer --memory-efficient-fp16 --fp16-init-scale 4".split(),
}  # fmt: skip


def parsed(words: list[str]) -> Namespace:
    """What fairseq-train makes of these flags, and saved of them before fairseq 0.10."""
    return options.parse_args_and_arch(options.get_training_parser(), words)


def settings(words: list[str]) -> dict[str, Any]:
    """What fairseq-train saves of these flags."""
    config = convert_namespace_to_omegaconf(parsed(words))
    return {
        name: OmegaConf.to_container(part, resolve=True, enum_to_str=True)
        if OmegaConf.is_config(part)
        else part
        for name in config
        for part in [config[name]]
    }


def flat(part: Any) -> Any:
    """A part's values; fairseq keeps some numbers as the text of the flag."""
    if not isinstance(part, Namespace):
        return part
    values = vars(part).items()
    return {name: value if value == "" else plain_value(value) for name, value in values}


def words_of(case: str) -> list[str]:
    training = [] if "--criterion" in CASES[case] else TRAINING
    return ["DATA", *CASES[case], *training]


def typed(flags: list[str]) -> list[str]:
    """The words as a shell reads them from a line that was copied."""
    return ["DATA", *shlex.split(shlex.join(flags))]


@pytest.mark.parametrize("case", CASES)
def test_the_flags_are_parsed_to_what_was_parsed(case: str) -> None:
    saved = parsed(words_of(case))
    flags = training_flags({"args": saved, "model": {}})
    assert flat(parsed(typed(flags))) == flat(saved)
    elsewhere = training_flags({"args": parsed([*words_of(case), *PLACES]), "model": {}})
    assert elsewhere == flags


FEW = ("lstm", "texts with spaces and quotes", "a language model")


@pytest.mark.parametrize(
    "case", [c if c in FEW else pytest.param(c, marks=pytest.mark.slow) for c in CASES]
)
def test_the_flags_give_all_that_was_saved(case: str) -> None:
    saved = settings(words_of(case))
    again = settings(typed(training_flags({"cfg": saved, "model": {}})))
    assert {name: flat(part) for name, part in again.items()} == {
        name: flat(part) for name, part in saved.items()
    }


def architectures() -> list[str]:
    from fairseq.models import ARCH_MODEL_NAME_REGISTRY

    wanted = ("lstm", "transformer", "lightconv", "fconv", "transformer_lm", "embedding_bag")
    return [n for n, model in ARCH_MODEL_NAME_REGISTRY.items() if model in wanted]


@pytest.mark.parametrize("arch", sorted(architectures()))
def test_an_architecture_alone_needs_no_other_flag(arch: str) -> None:
    from fairseq.models import ARCH_MODEL_NAME_REGISTRY

    if arch == "transformer_multi30k_de_en":
        pytest.skip("saved as fairseq's own architecture, with its sizes")
    task = TASKS.get(ARCH_MODEL_NAME_REGISTRY[arch], "translation")
    saved = parsed(["DATA", "--task", task, "--arch", arch, "--max-tokens", "9"])
    flags = training_flags({"args": saved, "model": {}})
    assert flags == ["--task", task, "--arch", arch, "--max-tokens", "9"]


def test_settings_of_before_fairseq_0_10_are_read() -> None:
    words = ["DATA", *TRAINING, *ARCHES["lstm"]]
    flags = training_flags({"args": parsed(words), "model": {}})
    assert flags == training_flags({"cfg": settings(words), "model": {}})


def test_nested_settings_are_read_with_the_defaults_that_fairseq_takes() -> None:
    flags = training_flags({"cfg": {"model": NESTED}, "model": {}})
    said = dict(zip(flags, [*flags[1:], ""], strict=True))
    assert (said["--encoder-ffn-embed-dim"], said["--decoder-ffn-embed-dim"]) == ("12", "12")
    assert said["--encoder-embed-dim"] == "16"
    assert "--decoder-output-dim" not in said  # as wide as the embedding, in both


def test_lists_that_a_task_made_are_one_flag_again() -> None:
    """A task of several languages changes the settings that are saved."""
    pairs = "--task multilingual_translation --lang-pairs de-en,fr-en --arch"
    for words in (
        words_of("one model for several languages"),
        ["DATA", *pairs.split(), "multilingual_transformer", *TRAINING],
    ):
        saved = settings(words)
        for part in ("task", "model"):
            saved[part].lang_pairs = ["de-en", "fr-en"]
        flags = training_flags({"cfg": saved, "model": {}})
        assert flags[flags.index("--lang-pairs") + 1] == "de-en,fr-en"


def test_the_width_of_a_model_is_its_own_wherever_it_is_said_again() -> None:
    """Of a task without a dataclass fairseq saves all flags: shrink changes the model's alone."""
    saved = settings(words_of("one model for several languages"))
    saved["model"] = Namespace(**{**vars(saved["model"]), "encoder_ffn_embed_dim": 24})
    assert saved["task"].encoder_ffn_embed_dim == 2048
    flags = training_flags({"cfg": saved, "model": {}})
    assert flags[flags.index("--encoder-ffn-embed-dim") + 1] == "24"


def test_what_no_flag_says_is_named() -> None:
    saved = settings(["DATA", "--arch", "transformer_wmt_en_de_big_t2t"])
    saved["model"].encoder_normalize_before = False  # its default is True, and the flag says True
    with pytest.raises(ValueError, match="encoder_normalize_before False, which no flag of"):
        training_flags({"cfg": saved, "model": {}})
    with pytest.raises(ValueError, match="argument --arch/-a: invalid choice: 'sphinx'"):
        training_flags({"cfg": {"model": {"_name": "sphinx"}}, "model": {}})
    with pytest.raises(ValueError, match="does not say what architecture"):
        training_flags({"model": {}})
