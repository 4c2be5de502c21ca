"""Loading a checkpoint: what comes back, what is refused, and that nothing of it ran."""

import argparse
import os
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import pytest
import torch
from _fairseq_prune_compat import loading
from _fairseq_prune_compat.loading import CheckpointRefused, CheckpointUnreadable, safe_load

TRUST = loading.TRUST


class Runs:
    """Pickles as a call that leaves a file behind."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


class Unknown:
    pass


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "checkpoint.pt"


def test_what_fairseq_saves_comes_back(file: Path) -> None:
    state = {
        "args": argparse.Namespace(arch="lstm", lr=[0.1]),
        "model": OrderedDict(weight=torch.ones(2, 2)),
        "optimizer_history": [{"num_updates": 3}],
    }
    torch.save(state, file)
    back = safe_load(file)
    assert back["args"] == state["args"]
    assert torch.equal(back["model"]["weight"], torch.ones(2, 2))
    assert back["optimizer_history"] == [{"num_updates": 3}]


def test_an_open_file_loads_like_its_path(file: Path) -> None:
    torch.save({"a": 1}, file)
    with file.open("rb") as opened:
        assert safe_load(opened, map_location="cpu") == safe_load(str(file)) == {"a": 1}


@pytest.mark.parametrize("old_format", [False, True])
@pytest.mark.parametrize("function", [os.system, os.mkdir, eval, exec])
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(
    function: Any, old_format: bool, file: Path, tmp_path: Path
) -> None:
    trace = tmp_path / "it_ran"
    command = {os.system: f"touch {trace}", os.mkdir: str(trace)}.get(
        function, f"__import__('os').mkdir({str(trace)!r})"
    )
    torch.save(Runs(function, command), file, _use_new_zipfile_serialization=not old_format)
    with pytest.raises(CheckpointRefused):
        safe_load(file)
    assert not trace.exists()


@pytest.mark.parametrize("name", ["getattr", "setattr", "__import__", "open", "compile", "globals"])
def test_builtins_that_reach_further_are_refused(name: str, file: Path) -> None:
    torch.save(__builtins__[name] if isinstance(__builtins__, dict) else None, file)
    with pytest.raises(CheckpointRefused, match=name):
        safe_load(file)


def test_a_refusal_is_one_sentence_with_file_class_and_switch(file: Path) -> None:
    torch.save({"x": Unknown()}, file)
    with pytest.raises(CheckpointRefused) as caught:
        safe_load(file)
    assert str(caught.value) == (
        f"{file} holds {Unknown.__module__}.Unknown, which is not among the classes that a "
        f"checkpoint may hold; if you trust whoever made the file, set {TRUST}=1."
    )
    assert caught.value.__suppress_context__


def test_who_trusts_the_file_gets_it_with_a_warning(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({"x": Runs(len, "abc")}, file)
    monkeypatch.setenv(TRUST, "1")
    with pytest.warns(UserWarning, match="may run code"):
        assert safe_load(file) == {"x": 3}


def test_any_other_value_of_the_switch_trusts_nothing(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({"x": Runs(len, "abc")}, file)
    monkeypatch.setenv(TRUST, "0")
    with pytest.raises(CheckpointRefused):
        safe_load(file)


def test_the_caller_decides_where_it_says_so(file: Path) -> None:
    torch.save({"x": Runs(len, "abc")}, file)
    assert safe_load(file, weights_only=False) == {"x": 3}


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, 0.99])
def test_a_truncated_checkpoint_is_named(keep: float, file: Path) -> None:
    torch.save({"weight": torch.ones(500)}, file)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(keep * len(whole)) if keep < 1 else int(keep)])
    with pytest.raises(CheckpointUnreadable, match="checkpoint.pt is not a checkpoint that can be"):
        safe_load(file)


@pytest.mark.parametrize("content", [b"hello\n", b"\0" * 4096, b"PK\x03\x04"])
def test_a_file_that_is_no_checkpoint_is_named(content: bytes, file: Path) -> None:
    file.write_bytes(content)
    with pytest.raises(CheckpointUnreadable, match="checkpoint.pt"):
        safe_load(file)


def test_a_missing_file_stays_a_missing_file(file: Path) -> None:
    with pytest.raises(FileNotFoundError):
        safe_load(file)


def test_a_sound_file_for_another_device_is_not_called_damaged(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*args: Any, **options: Any) -> None:
        raise RuntimeError("Attempting to deserialize object on a CUDA device but there is none.")

    monkeypatch.setattr(torch, "load", load)
    with pytest.raises(RuntimeError, match="CUDA") as caught:
        safe_load(file)
    assert not isinstance(caught.value, CheckpointUnreadable)


def test_the_allow_list_of_the_program_is_left_as_found(file: Path) -> None:
    torch.save({"args": argparse.Namespace()}, file)
    with torch.serialization.safe_globals([argparse.Namespace, defaultdict]):
        before = set(torch.serialization.get_safe_globals())
        safe_load(file)
        assert set(torch.serialization.get_safe_globals()) == before
    assert argparse.Namespace not in torch.serialization.get_safe_globals()
