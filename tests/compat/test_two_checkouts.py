"""Two checkouts and one environment: which layer is used is said where it is another version's."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import BIN

ROOT = Path(__file__).resolve().parents[2]


def checkout(folder: Path) -> Path:
    """A copy of the tree's package; gives its folder."""
    ignore = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(ROOT / "fairseq_prune", folder / "fairseq_prune", ignore=ignore))


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """Two checkouts, of which the first is the environment's, as an editable install has it."""
    first, second = checkout(tmp_path / "a"), checkout(tmp_path / "b")
    (tmp_path / "site").mkdir()
    layer = tmp_path / "site" / "_fairseq_prune_compat"
    layer.symlink_to(first / "compat", target_is_directory=True)
    return first, second


def say(package: Path, *words: str) -> str:
    """What a program says on stderr that uses this checkout; it has to succeed."""
    paths = [str(package.parent), str(package.parents[1] / "site")]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(paths))
    done = subprocess.run(
        [*words], env=environment, cwd=package.parents[1], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def use(package: Path) -> str:
    where = "import fairseq_prune, _fairseq_prune_compat as c; print(c.__file__)"
    assert str(package.parents[1]) in subprocess.check_output(
        [sys.executable, "-c", where], text=True, stderr=subprocess.DEVNULL,
        env=dict(os.environ, PYTHONPATH=f"{package.parent}:{package.parents[1] / 'site'}"),
    )  # fmt: skip
    return say(package, sys.executable, "-m", "fairseq_prune.cli.main", "--version")


def test_copies_that_are_alike_are_one(two: tuple[Path, Path]) -> None:
    assert [use(package) for package in two] == ["", ""]


def test_another_version_of_the_layer_is_named_once(two: tuple[Path, Path]) -> None:
    first, second = two
    with (second / "compat" / "hook.py").open("a") as file:
        file.write("# what is new\n")
    assert use(first) == ""
    said = use(second)
    layer = first.parents[1] / "site" / "_fairseq_prune_compat"
    assert said == (
        f"fairseq_prune: warning: {second} is used with the layer of another version, {layer}: "
        f"install what you use (pip install -e {second.parent}), or give each checkout an "
        f"environment of its own (bash {second.parent}/scripts/setup_env.sh).\n"
    )


def test_fairseq_s_programs_say_it_of_their_user_dir(two: tuple[Path, Path]) -> None:
    _, second = two
    (second / "compat" / "new.py").touch()
    environment = dict(os.environ, PYTHONPATH=str(second.parents[1] / "site"))
    done = subprocess.run(
        [BIN / "fairseq-train", "--user-dir", second, "--help"],
        env=environment, cwd=second.parents[1], capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stderr.count(f"fairseq_prune: warning: {second} is used with the layer") == 1


def test_a_command_refuses_another_copy_as_its_user_dir(two: tuple[Path, Path]) -> None:
    first, second = two
    done = subprocess.run(
        [sys.executable, "-m", "fairseq_prune.cli.main", "verify", "a.pt", "--user-dir", second],
        env=dict(os.environ, PYTHONPATH=str(first.parent)), capture_output=True, text=True,
        cwd=first.parents[1],
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"fairseq-prune: --user-dir {second} is another copy of the package than {first}, which "
        f"runs this command: leave it out, or run that copy (PYTHONPATH={second.parent} python -m "
        "fairseq_prune.cli.main ...).\n"
    )
