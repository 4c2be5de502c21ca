"""fairseq-prune export: what it says, and bad input."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fairseq_prune.cli.main import main
from tests.cli.conftest import Call
from tests.exports import models

CTRANSLATE2 = ("--format", "ctranslate2")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return models.write_dictionaries(tmp_path / "data")


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    model, settings = models.build()
    return models.write(tmp_path / "model.pt", model.state_dict(), settings)


@pytest.fixture
def refused(call: Call, tmp_path: Path) -> Callable[..., str]:
    """Calls export, which has to refuse and to leave no folder; gives its sentence."""

    def run(*arguments: Any) -> str:
        output = tmp_path / "out"
        code, out, err = call("export", *arguments, *CTRANSLATE2, "--output", output)
        assert (code, out, err.count("\n")) == (2, "", 1), (code, out, err)
        assert not output.exists()
        return err.removeprefix("fairseq-prune: ").rstrip("\n")

    return run


def test_a_pruned_model_says_in_the_folder_how_it_was_pruned(
    call: Call, ask: Callable[..., Any], checkpoint: str, data: Path, tmp_path: Path
) -> None:
    pruned, output = str(tmp_path / "pruned.pt"), tmp_path / "out"
    flags = ("--prune-scheme", "class-blind", "--prune-sparsity", "0.5")
    assert main(["apply", checkpoint, "--output", pruned, *flags]) == 0
    arguments = ("export", pruned, *CTRANSLATE2, "--data", data, "--output", output)
    code, out, err = call(*arguments)
    assert (code, err) == (0, "")
    assert out.startswith(f"{output}: ") and "de to en" in out and "--sentencepiece" in out
    said = json.loads((output / "config.json").read_text())["fairseq_prune"]
    assert said["checkpoint"] == "pruned.pt" and said["sparsity"] == pytest.approx(0.5, abs=1e-3)
    facts = ask(*arguments, "--quantization", "int8", "--force")
    assert facts["output"] == str(output) and facts["languages"] == ["de", "en"]
    assert facts["bytes"] == sum(path.stat().st_size for path in output.iterdir())


def test_a_model_that_is_no_transformer(
    refused: Callable[..., str], data: Path, dense: str
) -> None:
    content = torch.load(dense, weights_only=True)
    content["cfg"]["model"]["_name"] = "lstm"
    torch.save(content, dense)
    assert refused(dense, "--data", data) == (
        f"{dense} is of the architecture lstm: what is written for CTranslate2 are fairseq's "
        "Transformers for translation; take --format torch-int8."
    )


def test_no_data(refused: Callable[..., str], checkpoint: str, tmp_path: Path) -> None:
    assert refused(checkpoint) == (
        "--format ctranslate2 needs the dictionaries: give --data DATA, the folder that the model "
        "was trained on."
    )
    assert refused(checkpoint, "--data", tmp_path / "no") == (
        f"--data {tmp_path}/no is not a folder."
    )


def test_dictionaries_of_another_model(
    refused: Callable[..., str], checkpoint: str, data: Path
) -> None:
    with (data / "dict.en.txt").open("a", encoding="utf-8") as file:
        file.write("more 1\n")
    assert refused(checkpoint, "--data", data) == (
        f"The dictionary in --data {data} has 29 tokens and the decoder's table 28: give the "
        "folder that this model was trained on."
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("word\n", "line 1: 'word' is not `TOKEN COUNT`"),
        ("a 1\nb 1\na 1\n", "has 'a' twice, and they cannot be told apart."),
        (None, "cannot be read"),
    ],
)
def test_a_dictionary_that_is_none(
    text: str | None, why: str, refused: Callable[..., str], checkpoint: str, data: Path
) -> None:
    (data / "dict.de.txt").unlink()
    if text is not None:
        (data / "dict.de.txt").write_text(text, encoding="utf-8")
    assert why in refused(checkpoint, "--data", data)


def test_languages_from_the_folders_file_names(
    call: Call, refused: Callable[..., str], checkpoint: str, data: Path, tmp_path: Path
) -> None:
    content = torch.load(checkpoint, weights_only=False)
    content["cfg"]["task"] |= {"source_lang": None, "target_lang": None}
    torch.save(content, checkpoint)
    assert "the checkpoint names no languages" in refused(checkpoint, "--data", data)
    (data / "valid.de-en.de.idx").touch()
    output = tmp_path / "out"
    code, out, _ = call("export", checkpoint, *CTRANSLATE2, "--data", data, "--output", output)
    assert code == 0 and "de to en" in out


def test_another_task(refused: Callable[..., str], data: Path, tmp_path: Path) -> None:
    model, settings = models.build()
    task = "translation_multi_simple_epoch"
    path = models.write(tmp_path / "other.pt", model.state_dict(), settings, task)
    assert refused(path, "--data", data).startswith(f"{path} was trained with --task {task}, which")


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (
            ("--half",),
            "--half is for files, and --format ctranslate2 writes a folder; take --quantization "
            "float16.",
        ),
        (
            ("--data", "x"),
            "--data x has no effect with --format compact; it is for ctranslate2 and torch-int8.",
        ),
        (
            ("--sentencepiece", "a", "b"),
            "--sentencepiece a b has no effect with --format compact; it is for ctranslate2 and "
            "torch-int8.",
        ),
    ],
)
def test_a_flag_of_another_format_is_refused(
    call: Call, checkpoint: str, tmp_path: Path, flags: tuple[str, ...], sentence: str
) -> None:
    kind = "ctranslate2" if "--half" in flags else "compact"
    output = tmp_path / "out"
    code, out, err = call("export", checkpoint, "--format", kind, "--output", output, *flags)
    assert (code, out, err) == (2, "", f"fairseq-prune: {sentence}\n")
    assert not output.exists()
