"""A folder that appears whole or not at all."""

from pathlib import Path

import pytest

from fairseq_prune.exports.folder import check_folder, write_folder

KNOWN = "model.bin"


def fill(folder: Path) -> None:
    (folder / KNOWN).write_text("new")


def test_a_folder_is_made_with_those_above_it(tmp_path: Path) -> None:
    output = tmp_path / "a" / "b"
    check_folder(str(output), False, KNOWN)
    write_folder(str(output), fill)
    assert [path.name for path in output.parent.iterdir()] == ["b"]
    assert (output / KNOWN).read_text() == "new"


def test_an_empty_folder_is_used(tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    check_folder(str(output), False, KNOWN)
    write_folder(str(output), fill)
    assert (output / KNOWN).read_text() == "new"


def test_only_an_older_export_is_replaced_and_only_by_force(tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / "thesis.tex").write_text("years")
    for force in (False, True):
        with pytest.raises(ValueError, match="holds something else; give another folder.$"):
            check_folder(str(output), force, KNOWN)
    (output / KNOWN).write_text("old")
    with pytest.raises(ValueError, match="exists; give --force to replace it.$"):
        check_folder(str(output), False, KNOWN)
    (output / "thesis.tex").unlink()
    check_folder(str(output), True, KNOWN)
    write_folder(str(output), fill)
    assert (output / KNOWN).read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_leaves_nothing_and_an_older_export_as_it_was(
    error: BaseException, tmp_path: Path
) -> None:
    def break_off(folder: Path) -> None:
        fill(folder)
        raise error

    expected = ValueError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        write_folder(str(tmp_path / "a" / "out"), break_off)
    assert not list(tmp_path.iterdir())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / KNOWN).write_text("old")
    with pytest.raises(expected):
        write_folder(str(tmp_path / "out"), break_off)
    assert (tmp_path / "out" / KNOWN).read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(ValueError, match="is a file; give the name of a folder.$"):
        check_folder(str(tmp_path / "out"), True, KNOWN)
