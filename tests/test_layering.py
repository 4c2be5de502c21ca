"""The rooms of the package and which may import which, read off the imports of every file."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "fairseq_prune"
COMPAT = "_fairseq_prune_compat"

LAYERS = {
    "files": 0,
    "maths": 1,
    "network": 2,
    "masks": 2,
    "saliency": 3,
    "pruning": 4,
    "data": 4,
    "checkpoints": 5,
    "tasks": 6,
    "criterions": 6,
    "exports": 6,
    "models": 6,
    "optim": 6,
    "evaluation": 7,
    "sensitivity": 8,
    "study": 9,
    "report": 10,
    "bench": 10,
    "cli": 11,
}
FAIRSEQ = LAYERS["tasks"]  # the first layer that may import it
# the one file below that knows how fairseq stores data
ALSO_FAIRSEQ = ("data/binarised.py",)
# the neighbours that may be imported: a file is read by its model class, which may be ours;
# the figure of a benchmark is drawn as those of a report are
NEIGHBOURS = {"tasks": {"models"}, "exports": {"tasks"}, "bench": {"report"}}
# the files outside compat that may import it, and the modules they may have: what a checkpoint may
# hold, and how large it may be, is said once, and so is what Ctrl-C does
FROM_COMPAT = {
    "checkpoints/storage.py": ("pickled", "records", "safe_types", "values"),
    "tasks/_loading.py": ("loading",),
    "cli/main.py": ("interrupts",),
}

SOURCES = sorted(PACKAGE.rglob("*.py"))
NAMES = [str(path.relative_to(PACKAGE)) for path in SOURCES]
EVERY_SOURCE = sorted(
    path for top in ("fairseq_prune", "scripts", "tests") for path in (ROOT / top).rglob("*.py")
)


def imports(path: Path) -> Iterator[str]:
    """Yields the modules that a file imports, wherever in the file; ``a.b`` for ``from a import b``
    where b is a module of ours."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            module = node.module or ""
            for alias in node.names:
                is_ours = module.partition(".")[0] in ("fairseq_prune", COMPAT)
                yield f"{module}.{alias.name}" if is_ours else module


def folder(path: Path) -> str:
    """Returns the package's folder that a file is in, "" for fairseq_prune/__init__.py."""
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else ""


def is_without_fairseq(path: Path) -> bool:
    known = LAYERS.get(folder(path), FAIRSEQ)
    return known < FAIRSEQ and str(path.relative_to(PACKAGE)) not in ALSO_FAIRSEQ


def top(module: str) -> str:
    return module.partition(".")[0]


@pytest.mark.parametrize("path", SOURCES, ids=NAMES)
def test_imports_run_one_way(path: Path) -> None:
    here = folder(path)
    if here not in LAYERS:
        return
    for module in imports(path):
        parts = module.split(".")
        if parts[0] != "fairseq_prune" or len(parts) < 2 or parts[1] not in LAYERS:
            continue
        allowed = {here, *NEIGHBOURS.get(here, ())}
        allowed |= {name for name, layer in LAYERS.items() if layer < LAYERS[here]}
        assert parts[1] in allowed, f"{path} imports {module}"


def test_every_folder_has_a_layer() -> None:
    folders = {folder(path) for path in SOURCES} - {"", "compat"}
    assert folders <= LAYERS.keys()


@pytest.mark.parametrize("path", SOURCES, ids=NAMES)
def test_fairseq_is_imported_from_the_tasks_up(path: Path) -> None:
    if is_without_fairseq(path):
        found = {top(module) for module in imports(path)}
        assert not found & {"fairseq", "fairseq_cli", "hydra", "omegaconf"}, path


@pytest.mark.parametrize("path", SOURCES, ids=NAMES)
def test_figures_are_drawn_in_reports_only(path: Path) -> None:
    if folder(path) != "report":
        assert not {top(module) for module in imports(path)} & {"matplotlib", "plotly"}, path


@pytest.mark.parametrize("path", SOURCES, ids=NAMES)
def test_compat_stands_alone(path: Path) -> None:
    found = set(imports(path))
    if folder(path) == "compat":
        assert not {name for name in found if top(name) == "fairseq_prune"}, path
        return
    assert not {name for name in found if name.startswith("fairseq_prune.compat")}, path
    ours = {name for name in found if top(name) == COMPAT}
    allowed = FROM_COMPAT.get(str(path.relative_to(PACKAGE)), ())
    modules = tuple(f"{COMPAT}.{name}" for name in allowed)
    assert all(name.startswith(modules) for name in ours), path


@pytest.mark.parametrize(
    "path", EVERY_SOURCE, ids=[str(path.relative_to(ROOT)) for path in EVERY_SOURCE]
)
def test_imports_are_absolute_and_files_are_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if ROOT / "tests" not in path.parents:  # a test file may list many cases of one thing
        assert text.count("\n") <= 500, f"{path} is longer than 500 lines"
    for node in ast.walk(ast.parse(text)):
        assert not (isinstance(node, ast.ImportFrom) and node.level), f"{path}:{node.lineno}"


@pytest.mark.parametrize("path", SOURCES, ids=NAMES)
def test_functions_are_short(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= 40, f"{path}:{node.lineno} {node.name} has {length} lines"


def test_importing_what_lies_below_does_not_import_fairseq() -> None:
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in SOURCES
        if is_without_fairseq(path)
    ]
    code = (
        "import importlib, sys\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        "print(sorted({'fairseq', 'hydra', 'matplotlib'} & sys.modules.keys()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stdout + done.stderr


def test_there_is_no_circle_of_imports() -> None:
    """Imports within functions and for types count, too; the two named ones are one idea each."""
    names = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in SOURCES
    }
    reads = {
        name: {module for module in imports(_file_of(name)) if module in names - {"fairseq_prune"}}
        for name in names
    }
    left = dict(reads)
    while True:  # what imports nothing that is left can be in no circle
        free = {name for name, modules in left.items() if not modules & left.keys()}
        if not free:
            break
        left = {name: modules for name, modules in left.items() if name not in free}
    inside = {n for n in left if any(n in modules for modules in left.values())}
    assert inside <= {"fairseq_prune.maths.score", "fairseq_prune.maths.stream"}, inside


def _file_of(name: str) -> Path:
    path = ROOT / name.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
