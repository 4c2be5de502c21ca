"""A folder that appears whole or not at all."""

from pathlib import Path

import pytest

from fairseq_prune.files.folder import check_export, staged

KNOWN = "model.bin"


def fill(folder: Path, whole: bool = True, error: BaseException | None = None) -> None:
    """Write into a folder, and break off with the error."""
    with staged("--output", str(folder), whole=whole) as new:
        (new / KNOWN).write_text("new")
        if error is not None:
            raise error


def test_a_folder_is_made_with_those_above_it(tmp_path: Path) -> None:
    output = tmp_path / "a" / "b"
    check_export(str(output), False, KNOWN)
    fill(output)
    assert [path.name for path in output.parent.iterdir()] == ["b"]
    assert (output / KNOWN).read_text() == "new"


def test_an_empty_folder_is_used(tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    check_export(str(output), False, KNOWN)
    fill(output)
    assert (output / KNOWN).read_text() == "new"


def test_only_an_older_export_is_replaced_and_only_by_force(tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / "thesis.tex").write_text("years")
    for force in (False, True):
        with pytest.raises(ValueError, match="holds something else; give another folder.$"):
            check_export(str(output), force, KNOWN)
    (output / KNOWN).write_text("old")
    with pytest.raises(ValueError, match="exists; give --force to replace it.$"):
        check_export(str(output), False, KNOWN)
    (output / "thesis.tex").unlink()
    check_export(str(output), True, KNOWN)
    fill(output)
    assert (output / KNOWN).read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_leaves_nothing_and_an_older_export_as_it_was(
    error: BaseException, whole: bool, tmp_path: Path
) -> None:
    expected = ValueError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        fill(tmp_path / "a" / "out", whole, error)
    assert not list(tmp_path.iterdir())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / KNOWN).write_text("old")
    with pytest.raises(expected):
        fill(tmp_path / "out", whole, error)
    assert (tmp_path / "out" / KNOWN).read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_other_files_stay_where_the_folder_is_not_replaced(tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / KNOWN).write_text("old")
    (output / "thesis.tex").write_text("years")
    fill(output, whole=False)
    assert {path.name: path.read_text() for path in output.iterdir()} == {
        KNOWN: "new",
        "thesis.tex": "years",
    }
    fill(output)
    assert [path.name for path in output.iterdir()] == [KNOWN]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(ValueError, match="is a file; give the name of a folder.$"):
        check_export(str(tmp_path / "out"), True, KNOWN)
