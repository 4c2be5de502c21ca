"""Every configuration of a model is one that fairseq's own parser takes."""

from pathlib import Path
from typing import Any

import pytest

from fairseq_prune.study.commands import needs_plugin
from fairseq_prune.study.document import read_yaml
from fairseq_prune.study.model_file import ALWAYS, Flags, read_flags
from fairseq_prune.study.settings import read_study

STUDIES = sorted((Path(__file__).parents[2] / "configs" / "study").glob("*.yaml"))
CONFIGS = Path(__file__).parents[2] / "configs" / "train"
RUNS = [
    (path, section)
    for path in sorted(CONFIGS.rglob("*.yaml"))
    for section in read_yaml(path).entries
    if section != ALWAYS
]
NAMES = [f"{path.relative_to(CONFIGS)}: {section}" for path, section in RUNS]


def parse(flags: Flags) -> Any:
    """fairseq's settings for these flags."""
    from fairseq import options

    import fairseq_prune

    fairseq_prune.register()
    words = ["data", "--task", "translation", *flags.words("data")]
    return options.parse_args_and_arch(options.get_training_parser(), words)


@pytest.mark.parametrize(("path", "section"), RUNS, ids=NAMES)
def test_fairseq_takes_every_flag(path: Path, section: str) -> None:
    flags = read_flags(path, [ALWAYS, section])
    args = parse(flags)
    for name, value in flags.pairs:
        found = getattr(args, name.replace("-", "_"))
        assert found is not None and (value is not None or found is True), name
    # `arch` is what a checkpoint will say: of stock models a name that stock fairseq has
    assert needs_plugin(flags) or not args.arch.startswith("see2016")


@pytest.mark.parametrize("path", STUDIES, ids=[path.stem for path in STUDIES])
def test_fairseq_takes_the_flags_of_every_block(path: Path) -> None:
    for flags in {cell.training for cell in read_study(str(path)).cells} - {None}:
        args = parse(flags)
        for name, value in flags.pairs:
            found = getattr(args, name.replace("-", "_"))
            assert found is not None and (value is not None or found is True), name


@pytest.mark.parametrize("path", sorted({path for path, _ in RUNS}), ids=str)
def test_the_first_line_says_what_it_is(path: Path) -> None:
    first = path.read_text().splitlines()[0]
    assert first.startswith("# ") and len(first) > 20


def test_the_reports_transformer_opens_in_stock_fairseq() -> None:
    args = parse(Flags((("arch", "transformer_multi30k_de_en"),)))
    assert args.arch == "transformer"
    assert (args.encoder_layers, args.decoder_layers, args.decoder_ffn_embed_dim) == (3, 3, 512)
    assert (args.encoder_attention_heads, args.encoder_embed_dim, args.dropout) == (8, 512, 0.1)


@pytest.mark.parametrize(
    ("pairs", "needs"),
    [
        ({"arch": "lstm", "lr-scheduler": "fixed"}, False),
        ({"arch": "lstm", "lr-scheduler": "halving"}, True),
        ({"arch": "see2016_lstm_iwslt"}, True),
        ({"arch": "transformer_multi30k_de_en"}, True),
        ({"arch": "transformer_bert_fused"}, True),
        ({"arch": "shrunk_lstm"}, True),
        ({"arch": "lstm", "task": "pruned_translation"}, True),
        ({"arch": "lstm", "criterion": "label_smoothed_cross_entropy"}, False),
        ({"arch": "lstm", "criterion": "label_smoothed_cross_entropy_growing"}, True),
    ],
)
def test_dense_training_needs_us_for_what_is_ours(pairs: dict[str, str], needs: bool) -> None:
    assert needs_plugin(Flags(tuple(pairs.items()))) is needs


def test_whether_bert_is_pruned_is_a_setting_of_the_model(tmp_path: Path) -> None:
    path = tmp_path / "model.yaml"
    path.write_text("model:\n  arch: transformer_bert_fused\n  prune-bert: true\n  max-epoch: 1\n")
    assert parse(read_flags(path, [ALWAYS])).bert_prune is True
