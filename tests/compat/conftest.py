"""Stand-ins for fairseq and hydra, with the habits that newer Pythons refuse."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

STAND_INS = {
    "fairseq/__init__.py": """
        from dataclasses import dataclass, field
        import hydra

        @dataclass
        class FairseqDataclass:
            x: int = 1

        @dataclass
        class Common(FairseqDataclass):
            y: int = 2

        @dataclass
        class Config(FairseqDataclass):
            common: Common = Common()
            other: Common = field(default=Common())
        """,
    "hydra/__init__.py": """
        from dataclasses import dataclass

        @dataclass
        class Inner:
            a: int = 0

        @dataclass
        class Outer:
            inner: Inner = Inner()
        """,
    "userplugin.py": """
        from dataclasses import dataclass
        from fairseq import FairseqDataclass

        @dataclass
        class Part(FairseqDataclass):
            z: int = 3

        @dataclass
        class Whole(FairseqDataclass):
            part: Part = Part()
        """,
    "foreign.py": """
        from dataclasses import dataclass

        @dataclass
        class A:
            x: int = 1

        @dataclass
        class B:
            a: A = A()
        """,
}

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def stand_ins(tmp_path: Path) -> Path:
    for name, text in STAND_INS.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return tmp_path


@pytest.fixture
def python(stand_ins: Path) -> Run:
    """Returns a function that runs code in a fresh interpreter that sees the stand-ins."""

    def run(code: str, *flags: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        paths = [str(stand_ins), variables.pop("MORE_PATH", "")]
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, paths)), **variables)
        command = [sys.executable, *flags, "-c", textwrap.dedent(code)]
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    return run
