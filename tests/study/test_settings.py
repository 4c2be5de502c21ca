"""Study files: what is asked for, and what is refused with file and line."""

from pathlib import Path

import pytest

from fairseq_prune.study.settings import read_study
from tests.study.studies import GRID, write_study


def test_a_block_is_the_product_of_its_lists(tmp_path: Path) -> None:
    grid = (
        "  - stages: [pruned, scratch]\n    schemes: [class-blind, class-uniform]\n"
        "    saliencies: [magnitude, random]\n    sparsities: [0.2, 0.4, 0.6]\n"
    )
    cells = read_study(str(write_study(tmp_path, grid))).cells
    assert len(cells) == len({(c.stage, c.recipe) for c in cells}) == 2 * 2 * 2 * 3
    assert {c.recipe.sparsity for c in cells} == {0.2, 0.4, 0.6}


def test_other_subsets_are_found_where_the_data_are(tmp_path: Path) -> None:
    path = write_study(tmp_path, GRID)
    path.write_text(path.read_text().replace("    bin:", "    also: {test1: raw/t.en}\n    bin:"))
    study = read_study(str(path))
    (data,) = study.data.values()
    assert study.settings(data).also == [f"test1={tmp_path / 'raw/t.en'}"]


def test_a_structure_with_a_colon_is_a_text(tmp_path: Path) -> None:
    grid = "  - stages: pruned\n    schemes: class-uniform\n    structures: 2:4\n"
    (cell,) = read_study(str(write_study(tmp_path, grid))).cells
    assert cell.recipe.structure == "2:4"


def test_flags_of_a_schedule_go_to_the_recipe(tmp_path: Path) -> None:
    grid = (
        "  - stages: fresh\n    schemes: erk\n    saliencies: random\n    sparsities: 0.8\n"
        "    flags: {prune-schedule: rigl, prune-end: 4, prune-drop: 0.5}\n"
    )
    (cell,) = read_study(str(write_study(tmp_path, grid))).cells
    assert (cell.recipe.schedule, cell.recipe.end, cell.recipe.drop) == ("rigl", 4, 0.5)


BAD = {
    "unknown stage": ("stages: thawed\n    schemes: class-blind", "'thawed' is unknown; choose"),
    "unknown scheme": ("stages: pruned\n    schemes: blind", "line 10: --prune-scheme 'blind'"),
    "sparsity 1": (
        "stages: pruned\n    schemes: class-blind\n    sparsities: [0.5, 1.0]",
        "line 11: --prune-sparsity 1.0",
    ),
    "misspelt": ("stages: pruned\n    schemes: erk\n    sparsity: 0.5", "Is it sparsities?"),
    "no schemes": ("stages: pruned", "line 9: schemes is missing in grid"),
    "unknown model": (
        "stages: pruned\n    schemes: class-blind\n    models: x",
        "grid.models 'x' is unknown; choose from m",
    ),
    "schedule without training": (
        "stages: scratch\n    schemes: class-blind\n    flags: {prune-schedule: gradual, "
        "prune-end: 9}",
        "needs training, and apply does none",
    ),
    "ticket": ("stages: ticket\n    schemes: class-blind", "the stage ticket needs rewind-to"),
    "rounds": ("stages: pruned\n    schemes: class-blind\n    rounds: 2", "the stage ticket"),
    "flag": (
        "stages: pruned\n    schemes: class-blind\n    flags: {prune-poll: sum}",
        "Is it prune-pool?",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_block_is_refused_with_its_line(tmp_path: Path, name: str) -> None:
    block, sentence = BAD[name]
    path = write_study(tmp_path, f"  - {block}\n")
    with pytest.raises(ValueError) as error:
        read_study(str(path))
    assert sentence in str(error.value), error.value
    assert str(error.value).startswith(f"{path}, line ") and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "old, new, sentence",
    [
        ("title:", "titel:", "unknown key 'titel'; known are title, data"),
        ("beam: 1", "beam: many", "evaluate.beam is 'many', which is no whole number"),
        ("beam: 1", "bean: 1", "Is it beam?"),
        ("beam: 1", "text: html", "evaluate: --text html must be raw or moses"),
        ("beam: 1", "split-compounds: true", "evaluate: --split-compounds is for the tokenized"),
        ("beam: 1", "split-compounds: 1", "'1', which is neither true nor false"),
        ("m: config.yaml", "m: gone.yaml", "gone.yaml cannot be read"),
        ("m: config.yaml", "a/b: config.yaml", "the name 'a/b' becomes part of folders"),
        ("seeds: 1", "seeds: [1, x]", "seeds is 'x', which is no whole number"),
        ("seeds: 1", "keep: some", "keep 'some' is unknown; choose from all, evaluated"),
        ("m: config.yaml", "m: {config: config.yaml, dense: no}", "has no section no; it has"),
    ],
)
def test_a_bad_line_is_refused(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    path = write_study(tmp_path)
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ValueError) as error:
        read_study(str(path))
    assert sentence in str(error.value), error.value


@pytest.mark.parametrize(
    "old, new, sentence",
    [
        ("  lr: 0.01\n", "  save-dir: x\n", "save-dir has no place"),
        ("  lr: 0.01\n", "  prune-scheme: erk\n", "prune-scheme has no place"),
        ("  max-update: 6\n", "", "no max-update and no max-epoch"),
        ("retrain:\n", "again:\n", "m has no section to retrain with"),
    ],
)
def test_a_bad_configuration_is_refused(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    path = write_study(tmp_path, GRID)
    config = tmp_path / "config.yaml"
    config.write_text(config.read_text().replace(old, new))
    with pytest.raises(ValueError) as error:
        read_study(str(path))
    assert sentence in str(error.value), error.value


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[2] / "configs" / "study").glob("*.yaml")), ids=str
)
def test_the_studies_of_the_project_can_be_read(path: Path) -> None:
    assert read_study(str(path)).cells


def test_places_are_relative_to_the_file_and_not_to_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = "  - stages: pruned\n    schemes: given\n    flags: {prune-given: given.txt}\n"
    path = write_study(tmp_path / "here", grid, data="../bin")
    path.with_name("given.txt").write_text("* 0.5\n")
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "there")
    study = read_study("../here/study.yaml")
    assert study.data["toy"].bin == tmp_path / "bin"
    assert study.cells[0].recipe.given == "* 0.5"  # the file may change, or go


@pytest.mark.parametrize(
    "old, new, sentence",
    [
        ("  toy:\n    bin: bin", "  {}", "line 2: data is empty"),
        ("  m: config.yaml", "  {}", "line 5: models is empty"),
        ("  toy:", f"  {'x' * 300}:", "line 3: the name xxxxxxxxx... is longer than 50 letters"),
        ("beam: 1", "lenpen: nan", "evaluate.lenpen is 'nan', which is no number"),
        ("beam: 1", "beam: 0", "line 14: --beam 0 must be 1 or more"),
        ("seeds: 1", f"seeds: {'9' * 5000}", "which is too large"),
        ("m: config.yaml", "m: |\n    gone", "line 6: models.m: "),
    ],
)
def test_what_would_fail_later_is_refused_at_once(
    tmp_path: Path, old: str, new: str, sentence: str
) -> None:
    path = write_study(tmp_path)
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ValueError) as error:
        read_study(str(path))
    assert sentence in str(error.value) and "\n" not in str(error.value), error.value


def test_flags_of_a_penalty_belong_to_the_configuration(tmp_path: Path) -> None:
    path = write_study(tmp_path)
    config = tmp_path / "config.yaml"
    config.write_text(config.read_text() + "  prune-penalty: greg-2\n")
    retrain = read_study(str(path)).models["m"].retrain
    assert retrain is not None and retrain.get("prune-penalty") == "greg-2"


@pytest.mark.parametrize("value", ["0", "1e3", "-6", "nan", "9" * 400])
def test_a_training_without_an_end_is_refused(tmp_path: Path, value: str) -> None:
    path = write_study(tmp_path)
    config = tmp_path / "config.yaml"
    config.write_text(config.read_text().replace("max-update: 6", f"max-update: {value}"))
    with pytest.raises(ValueError, match="line 6: models.m: .*config.yaml, .* no (number|max-u)"):
        read_study(str(path))


@pytest.mark.parametrize(
    "lines, line",
    [
        (["schemes: blind", "sparsities: 0.5"], 10),
        (["schemes: class-blind", "sparsities: 2"], 11),
        (["schemes: class-blind", "sparsities: 0.5", "flags:", "  prune-pool: x"], 13),
        (["schemes: class-blind", "sparsities: 0.5", "flags:", "  prune-classes: x.txt"], 13),
    ],
)
def test_the_line_is_that_of_what_is_wrong(tmp_path: Path, lines: list[str], line: int) -> None:
    grid = "".join(f"    {text}\n" for text in lines)
    path = write_study(tmp_path, "  - stages: pruned\n" + grid)
    with pytest.raises(ValueError, match=f"line {line}: "):
        read_study(str(path))
