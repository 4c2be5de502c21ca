"""The folder of a study: whose it is, and of which data."""

import threading
from pathlib import Path

import pytest

from fairseq_prune.study.data import prepare
from fairseq_prune.study.layout import check_folder, lay, look
from fairseq_prune.study.settings import read_study
from tests.study.studies import GRID, write_study


def data(folder: Path, text: str = "a 1\n") -> None:
    folder.mkdir(exist_ok=True)
    (folder / "dict.en.txt").write_text(text)
    for subset in ("test", "valid", "train"):
        (folder / f"{subset}.de-en.en.idx").write_text("")


def test_a_grid_may_grow_and_not_shrink_unseen(tmp_path: Path) -> None:
    data(tmp_path / "bin")
    small, root = read_study(str(write_study(tmp_path))), tmp_path / "out"
    lay(look(small, root), print)
    check_folder(look(small, root))
    more = read_study(str(write_study(tmp_path, GRID.replace("0.5", "[0.5, 0.7]"))))
    check_folder(look(more, root))
    lay(look(more, root), print)
    with pytest.raises(ValueError) as error:
        check_folder(look(small, root))
    assert "has 2 points that" in str(error.value) and "study clean" in str(error.value)


def test_other_data_under_the_same_name_are_refused(tmp_path: Path) -> None:
    data(tmp_path / "bin")
    laid = look(read_study(str(write_study(tmp_path))), tmp_path / "out")
    lay(laid, print)
    lay(laid, print)
    data(tmp_path / "bin", "b 1\n")
    with pytest.raises(ValueError, match="was made of other data toy than"):
        lay(laid, print)


def test_missing_data_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    laid = look(read_study(str(write_study(tmp_path))), tmp_path / "out")
    with pytest.raises(ValueError, match="holds no dict"):
        lay(laid, print)
    assert not (tmp_path / "out" / "points").exists()


def test_a_run_from_elsewhere_lays_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data(tmp_path / "bin")
    write_study(tmp_path)
    (tmp_path / "below").mkdir()
    found = []
    for place, study, root in ((".", "study.yaml", "out"), ("below", "../study.yaml", "../out")):
        monkeypatch.chdir(tmp_path / place)
        laid = look(read_study(study), Path(root))
        lay(laid, print)
        found.append({p.parent.name: p.read_text() for p in tmp_path.glob("out/points/*/*.json")})
    assert found[0] == found[1] and len(found[0]) == 3


@pytest.mark.parametrize("content", ["", "{", "[]", '{"data": 3}'])
def test_a_damaged_study_file_is_named(tmp_path: Path, content: str) -> None:
    data(tmp_path / "bin")
    laid = look(read_study(str(write_study(tmp_path))), tmp_path / "out")
    lay(laid, print)
    (tmp_path / "out" / "study.json").write_text(content)
    with pytest.raises(ValueError, match="study.json is damaged; if the data"):
        lay(laid, print)


def test_what_a_killed_run_left_is_no_other_folder(tmp_path: Path) -> None:
    laid = look(read_study(str(write_study(tmp_path))), tmp_path / "out")
    for name in ("data", "submitit"):
        (tmp_path / "out" / name).mkdir(parents=True)
    (tmp_path / "out" / ".study.json.12").write_text("")
    check_folder(laid)


def test_only_points_are_strangers(tmp_path: Path) -> None:
    laid = look(read_study(str(write_study(tmp_path))), tmp_path / "out")
    (tmp_path / "out" / "points" / "holiday pictures").mkdir(parents=True)
    assert not laid.strangers


def test_data_that_another_run_makes_are_waited_for(tmp_path: Path) -> None:
    path = write_study(tmp_path)
    text = path.read_text().replace("bin: bin", "prepare: make.sh\n    bin: bin")
    path.write_text(text)
    log, said = tmp_path / "log", list[str]()
    (tmp_path / "make.sh").write_text(
        f'echo run >>{log}\nsleep 1.5\nmkdir -p "$1/bin"\necho "a 1" >"$1/bin/dict.en.txt"\n'
        'for s in test valid train; do : >"$1/bin/$s.de-en.en.idx"; done\n'
    )
    words = (read_study(str(path)), tmp_path / "out", said.append)
    threads = [threading.Thread(target=prepare, args=words) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log.read_text() == "run\n"
    assert sum("waiting" in line for line in said) == 2


@pytest.mark.parametrize("kind", ["file", "other"])
def test_a_folder_of_something_else_is_refused(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "out"
    if kind == "file":
        root.write_text("")
    else:
        root.mkdir()
        (root / "thesis.tex").write_text("")
    laid = look(read_study(str(write_study(tmp_path))), root)
    with pytest.raises(ValueError, match="is a file" if kind == "file" else "holds other files"):
        check_folder(laid)


def test_a_data_script_runs_once_it_has_not_ended_well(tmp_path: Path) -> None:
    path = write_study(tmp_path)
    text = path.read_text().replace("bin: bin", "prepare: make.sh\n    bin: bin")
    path.write_text(text)
    script, log = tmp_path / "make.sh", tmp_path / "log"
    body = (
        f'echo run >>{log}\nmkdir -p "$1/bin"\necho "a 1" >"$1/bin/dict.en.txt"\n'
        'for s in test valid train; do : >"$1/bin/$s.de-en.en.idx"; done\n'
    )
    script.write_text(body + "echo no space; exit 4\n")
    laid = look(read_study(str(path)), tmp_path / "out")
    with pytest.raises(ValueError, match="make.sh ended with exit code 4; .* ends: no space"):
        lay(laid, print)
    script.write_text(body)
    lay(laid, print)
    lay(laid, print)
    assert log.read_text() == "run\nrun\n"
