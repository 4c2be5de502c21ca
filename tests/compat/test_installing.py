"""setup.py and the scripts around it, as far as they go without a network."""

import os
import re
import stat
import subprocess
import sys
import sysconfig
from importlib.metadata import distribution, distributions
from pathlib import Path

import fairseq_prune

ROOT = Path(__file__).resolve().parents[2]
SETUP = ROOT / "scripts" / "setup_env.sh"


def set_up(**variables: str) -> "subprocess.CompletedProcess[str]":
    environment = dict(os.environ, **variables)
    return subprocess.run(["bash", str(SETUP)], env=environment, capture_output=True, text=True)


def program(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_the_version_is_the_packages() -> None:
    assert distribution("fairseq_prune").version == fairseq_prune.__version__


def test_uninstalling_removes_the_start_up_line() -> None:
    # the working tree may hold an egg-info of the same name, which is not what is installed
    installed = distributions(name="fairseq_prune", path=[sysconfig.get_path("purelib")])
    files = [str(file) for found in installed for file in found.files or []]
    assert "fairseq_prune_compat.pth" in files


def test_every_folder_of_the_package_is_one_that_gets_installed() -> None:
    for path in (ROOT / "fairseq_prune").rglob("*.py"):
        assert (path.parent / "__init__.py").exists(), f"{path.parent} has no __init__.py"


def test_an_interpreter_that_does_not_exist_is_named(tmp_path: Path) -> None:
    done = set_up(PYTHON="/no/such/python", VENV=str(tmp_path / "venv"))
    assert done.returncode == 1
    assert done.stderr == "setup_env: PYTHON=/no/such/python is not a program that can be run.\n"
    assert not (tmp_path / "venv").exists()


def test_an_old_python_is_refused(tmp_path: Path) -> None:
    old = (
        'case "$*" in --version) echo Python 3.9.1 ;; *"< (3, 10)"*) exit 1 ;; *) echo 3.9 ;; esac'
    )
    python = program(tmp_path / "python", old)
    done = set_up(PYTHON=python, VENV=str(tmp_path / "venv"))
    assert done.returncode == 1
    assert f"{python} is Python 3.9.1, but 3.10 or later is needed" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_a_machine_without_a_compiler_is_told_so(tmp_path: Path) -> None:
    for name in ("bash", "dirname", "cat", "cksum", "env"):
        found = subprocess.check_output(["which", name], text=True).strip()
        (tmp_path / name).symlink_to(found)
    done = set_up(PYTHON=sys.executable, VENV=str(tmp_path / "venv"), PATH=str(tmp_path))
    assert done.returncode == 1
    assert "there is no g++, which fairseq is built with; install it" in done.stderr


def test_a_folder_that_is_no_environment_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    done = set_up(PYTHON=sys.executable, VENV=str(tmp_path))
    assert done.returncode == 1
    assert f"{tmp_path} is in the way, a folder that is not a Python environment" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_an_environment_of_another_python_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "pyvenv.cfg").write_text("version = 2.7\n")
    done = set_up(PYTHON=sys.executable, VENV=str(tmp_path))
    assert done.returncode == 1
    assert "is of another Python than" in done.stderr
    assert (tmp_path / "pyvenv.cfg").exists()


def test_torch_is_pinned() -> None:
    constraints = (ROOT / "scripts" / "constraints.txt").read_text()
    assert re.search(r"^torch==\d+\.\d+\.\d+$", constraints, re.MULTILINE)
