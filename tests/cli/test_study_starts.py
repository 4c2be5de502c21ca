"""What comes before a study: its keys, a file to begin with, and the examples."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fairseq_prune.cli._study_keys import page
from fairseq_prune.study.document import Node
from fairseq_prune.study.scoring import CLASSIFY, EVALUATE, keys_of, read_settings
from fairseq_prune.study.settings import read_study
from fairseq_prune.study.stages import ASKED
from tests.conftest import ARCHES, ROOT, TRAINING, run
from tests.forked import train_here
from tests.models import news
from tests.study.studies import write_study

SECTIONS = re.findall(r"^## (.*)\n((?:.*\n)*?)(?=^## |\Z)", page(), flags=re.M)
PRINTED = {title: re.findall(r"^- `([\w-]+)`", text, flags=re.M) for title, text in SECTIONS}
STRANGE = "no-such-key: 1"
PLACES = {  # where a line of a study file takes a key of the section, and what it becomes
    "The file": ("title:", f"{STRANGE}\ntitle:"),
    "data: an entry": ("    bin:", f"    {STRANGE}\n    bin:"),
    "models: an entry": ("m: config.yaml", f"m: {{config: config.yaml, {STRANGE}}}"),
    "grid: a block": ("    schemes:", f"    {STRANGE}\n    schemes:"),
    "grid: flags of the recipe": (
        "    schemes:", "    flags: {prune-no-such-key: 1}\n    schemes:",
    ),
    "evaluate: translations": ("  beam: 1", f"  beam: 1\n  {STRANGE}"),
}  # fmt: skip


def test_the_page_is_what_is_printed() -> None:
    printed = run("fairseq-prune", "study", "keys")
    assert printed == page() == (ROOT / "docs" / "study-keys.md").read_text(encoding="utf-8"), (
        "make it again: fairseq-prune study keys >docs/study-keys.md"
    )


@pytest.mark.parametrize("title", PLACES)
def test_the_keys_are_those_that_the_reader_takes(tmp_path: Path, title: str) -> None:
    """The reader says itself which keys it knows."""
    old, new = PLACES[title]
    path = write_study(tmp_path)
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ValueError, match="unknown key") as error:
        read_study(str(path))
    found = re.search(r"known are ([\w, -]+)\.", str(error.value))
    assert found is not None
    of_stages = PRINTED["grid: keys of single stages"] if title == "grid: a block" else []
    assert found[1].split(", ") == PRINTED[title] + sorted(
        of_stages, key=found[1].split(", ").index
    )


def test_the_keys_of_classifiers_are_those_that_the_reader_takes() -> None:
    node = Node("FILE", "evaluate", 1, {"x": Node("FILE", "evaluate.x", 1, "1")})
    with pytest.raises(ValueError, match=f"known are {', '.join(keys_of(CLASSIFY))}"):
        read_settings(node, CLASSIFY)
    assert PRINTED["evaluate: classifiers"] == list(keys_of(CLASSIFY))


def test_every_stage_is_printed() -> None:
    assert PRINTED["grid: stages"] == list(ASKED)


@pytest.mark.parametrize("scoring", [EVALUATE, CLASSIFY])
def test_the_help_of_a_setting_names_its_default(scoring: str) -> None:
    kind = {EVALUATE: "translations", CLASSIFY: "classifiers"}[scoring]
    text = dict(SECTIONS)[f"evaluate: {kind}"]
    for name, field in keys_of(scoring).items():
        if field.default not in (None, False, ()):
            default = str(field.default).removesuffix(".0")
            entry = re.search(rf"- `{name}`: (?:.*\n(?!- ))*?.*\(default {default}\b", text)
            assert entry is not None, name


@pytest.fixture(scope="module")
def dense(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dense")
    words = [corpus, *ARCHES["transformer"], *TRAINING, "--max-update", "6", "--save-dir", folder]
    train_here(words)
    return folder / "checkpoint_best.pt"


def test_a_file_to_begin_with_is_one_that_plan_takes_at_once(
    tmp_path: Path, dense: Path, corpus: Path
) -> None:
    words = ("--checkpoint", dense, "--data", corpus)
    (tmp_path / "a b").mkdir()  # where it is put does not matter
    study = tmp_path / "a b" / "my.yaml"
    study.write_text(run("fairseq-prune", "study", "init", *words))
    said = run("fairseq-prune", "study", "plan", study, "--output", tmp_path / "out")
    assert "14 of 14 points to run" in said and "--max-update 2 --lr 0.005" in said
    text = study.read_text()
    assert "# checkpoint_best.pt: transformer, " in text and "6 updates" in text
    assert "retrain: {max-update: 2, lr: 0.005}" in text and "{" not in text.splitlines()[0]
    assert "# remove-bpe: ..." in text  # of words, there is nothing to join
    shown = read_study(str(study))
    assert shown.evaluate == {"beam": 5, "max_len_a": 1.2, "max_len_b": 10}
    # what is in comments is right, too
    for line in ("# saliencies: magnitude", "# structures: weight", "# retrain: {"):
        text = text.replace(line, line[2:])
    study.write_text(re.sub(r"(structures: weight|magnitude) +#.*", r"\1", text))
    assert [c.stage for c in read_study(str(study)).cells] == [c.stage for c in shown.cells]


@pytest.mark.parametrize(("mark", "kind"), [("\u2581{}", "sentencepiece"), ("{}@@", "@@ ")])
def test_subwords_are_found(
    tmp_path: Path, dense: Path, corpus: Path, mark: str, kind: str
) -> None:
    data = tmp_path / "bin"
    data.mkdir()
    for path in corpus.iterdir():
        content = path.read_bytes()
        if path.name.startswith("dict."):
            lines = content.decode().splitlines()
            content = "".join(mark.format(*line.split(" ")[:1]) + " 5\n" for line in lines).encode()
        (data / path.name).write_bytes(content)
    study = tmp_path / "my.yaml"
    study.write_text(run("fairseq-prune", "study", "init", "--checkpoint", dense, "--data", data))
    assert read_study(str(study)).evaluate["remove_bpe"] == kind


def test_a_template_says_what_to_fill_in(tmp_path: Path, dense: Path) -> None:
    study = tmp_path / "my.yaml"
    study.write_text(run("fairseq-prune", "study", "init"))
    said = run("fairseq-prune", "study", "plan", study, "--output", tmp_path / "out", fails=True)
    assert "my.yaml, line 15: checkpoint: there is no file" in said
    study.write_text(study.read_text().replace("dense.pt", str(dense)))
    assert read_study(str(study)).cells


def other_dictionary(corpus: Path, data: Path) -> Path:
    data.mkdir()
    for path in corpus.iterdir():
        more = b"zz 1\nzy 1\n" if path.name.startswith("dict.") else b""
        (data / path.name).write_bytes(path.read_bytes() + more)
    return data


def test_what_does_not_go_together_is_refused(tmp_path: Path, dense: Path, corpus: Path) -> None:
    other = other_dictionary(corpus, tmp_path / "other")
    pruned = tmp_path / "pruned.pt"
    run("fairseq-prune", "apply", dense, "--output", pruned, "--prune-scheme", "class-blind")
    empty = tmp_path / "empty"
    empty.mkdir()
    for words, sentence in (
        (("--checkpoint", dense), "--checkpoint and --data go together"),
        (("--checkpoint", "gone.pt", "--data", corpus), "--checkpoint gone.pt is not a file"),
        (("--checkpoint", dense, "--data", "gone"), "--data gone is not a folder"),
        (("--checkpoint", dense, "--data", empty), f"--data {empty} holds no dict"),
        (("--checkpoint", dense, "--data", other), "the target dictionary of the data"),
        (("--checkpoint", pruned, "--data", corpus), "has been pruned"),
        (("--checkpoint", corpus / "dict.en.txt", "--data", corpus), "cannot be read"),
    ):
        said = run("fairseq-prune", "study", "init", *words, fails=True)
        assert sentence.replace("target", "") in said.replace("source", "").replace("target", "")
        assert "Traceback" not in said and said.count("\n") == 1, said


def test_a_language_model_is_refused(tmp_path: Path, dense: Path, corpus: Path) -> None:
    content = torch.load(dense, weights_only=False)
    task = content["cfg"]["task"]
    content["cfg"]["task"] = {**vars(task), "_name": "masked_lm"} if not isinstance(
        task, dict
    ) else {**task, "_name": "masked_lm"}  # fmt: skip
    torch.save(content, tmp_path / "lm.pt")
    said = run(
        "fairseq-prune", "study", "init", "--checkpoint", tmp_path / "lm.pt", "--data", corpus,
        fails=True,
    )  # fmt: skip
    assert "Traceback" not in said and said.count("\n") == 1, said


@pytest.mark.slow
def test_a_file_to_begin_with_for_a_classifier(tmp_path: Path) -> None:
    news.write_rows(tmp_path / "train.csv", 300, seed=1)
    news.write_rows(tmp_path / "test.csv", 100, seed=2)
    news.binarise(tmp_path, "--valid-share", 0.2)
    data = tmp_path / "data"
    words = f"--arch embedding_bag --task sentence_prediction --num-classes 4 --lr 0.1 {data}"
    more = "--criterion sentence_prediction --optimizer sgd --batch-size 16 --max-epoch 3 --cpu"
    run(
        "fairseq-train", *words.split(), *more.split(), "--save-dir", tmp_path / "dense",
        "--user-dir", ROOT / "fairseq_prune", "--best-checkpoint-metric", "accuracy",
        "--maximize-best-checkpoint-metric",
    )  # fmt: skip
    dense = tmp_path / "dense" / "checkpoint_best.pt"
    study = tmp_path / "my.yaml"
    study.write_text(run("fairseq-prune", "study", "init", "--checkpoint", dense, "--data", data))
    said = run("fairseq-prune", "study", "run", study, "--output", tmp_path / "out", "--cpu")
    assert "all 13 points are done" in said


def test_examples_are_copied_with_what_they_read(tmp_path: Path) -> None:
    listed = run("fairseq-prune", "study", "examples")
    names = {path.stem for path in (ROOT / "configs" / "study").glob("*.yaml")}
    assert {line.split("  ")[0] for line in listed.splitlines()[2:-1]} == names
    folder = tmp_path / "here"
    said = run("fairseq-prune", "study", "examples", folder)
    assert said == f"fairseq-prune study run {folder}/configs/study/tiny.yaml --output runs/tiny\n"
    for path in sorted((folder / "configs" / "study").glob("*.yaml")):
        assert read_study(str(path)).cells
    again = run("fairseq-prune", "study", "examples", folder, fails=True)
    assert f"{folder} is there and not empty" in again


@pytest.mark.slow
def test_examples_are_in_the_wheel(tmp_path: Path) -> None:
    words = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", tmp_path / "lib"]
    subprocess.run([*map(str, words), "--no-compile"], cwd=ROOT, check=True)
    there = tmp_path / "lib" / "fairseq_prune" / "examples"
    tracked = subprocess.run(
        ["git", "ls-files", "configs", "scripts"], cwd=ROOT, capture_output=True, text=True
    )
    for name in tracked.stdout.split():
        assert (there / name).read_bytes() == (ROOT / name).read_bytes()
    code = (
        "from fairseq_prune.study import examples; from pathlib import Path; "
        f"print(examples.copy_examples(Path({str(tmp_path / 'copy')!r})))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path / "lib", check=True)
    assert (tmp_path / "copy" / "configs" / "study" / "tiny.yaml").is_file()
