"""What a point's folder says has been done."""

import threading
import time
from pathlib import Path

import pytest

from fairseq_prune.files.lock import held
from fairseq_prune.study.folder import Folder

SETTINGS = {"data": "/a/bin", "reference": None, "beam": 1}


def finished(path: Path) -> Folder:
    folder = Folder(path)
    folder.write("point", {"result": "r", "evaluate": SETTINGS})
    folder.write("made", {"seconds": 1.0})
    folder.write("done", {"evaluate": SETTINGS, "seconds": 1.0})
    (path / "r").write_text("")
    return folder


@pytest.mark.parametrize(
    "more, done",
    [
        ({}, True),
        ({"data": "/b/bin"}, True),
        ({"beam": 2}, False),
        ({"text": None, "split_compounds": False}, True),  # newer than the folder
        ({"text": "moses"}, False),
        ({"also": []}, True),
        ({"also": ["test1=/a/test1.en"]}, False),
    ],
)
def test_a_point_is_done_again_for_other_settings_and_not_for_other_places(
    tmp_path: Path, more: dict[str, object], done: bool
) -> None:
    folder = finished(tmp_path)
    folder.write("point", {"result": "r", "evaluate": {**SETTINGS, **more}})
    assert folder.is_done is done and folder.is_made


@pytest.mark.parametrize("name", ["point", "made", "done"])
@pytest.mark.parametrize("content", ["", '{"seconds": 1', "[]", "\x00"])
def test_a_damaged_file_counts_as_none(tmp_path: Path, name: str, content: str) -> None:
    folder = finished(tmp_path)
    (tmp_path / f"{name}.json").write_text(content)
    assert not folder.is_done


def test_who_only_looks_does_not_send_a_worker_away(tmp_path: Path) -> None:
    with held(tmp_path) as looking, held(tmp_path, patience=0.2) as worker:
        assert looking is not None and worker is None

    def look() -> None:
        with held(tmp_path):
            began.set()
            time.sleep(0.2)

    began = threading.Event()
    thread = threading.Thread(target=look)
    thread.start()
    began.wait()
    with held(tmp_path, patience=5) as worker:
        assert worker is not None
    thread.join()
