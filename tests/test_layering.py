"""The rooms of the package and which may import which, read off the imports of every file."""

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

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
    "interface": 11,
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
EVERY_SOURCE = sorted(
    path for top in ("fairseq_prune", "scripts", "tests") for path in (ROOT / top).rglob("*.py")
)


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Returns all nodes of a file's syntax tree; it is parsed once for all tests."""
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))))


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Returns the modules that a file imports, wherever in the file; ``a.b`` for ``from a import
    b`` where b is a module of ours."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in nodes(path):
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
    return known < FAIRSEQ and name_of(path) not in ALSO_FAIRSEQ


def top(module: str) -> str:
    return module.partition(".")[0]


def name_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def test_imports_run_one_way() -> None:
    bad = []
    for path in SOURCES:
        here = folder(path)
        if here not in LAYERS:
            continue
        allowed = {here, *NEIGHBOURS.get(here, ())}
        allowed |= {name for name, layer in LAYERS.items() if layer < LAYERS[here]}
        for module in imports(path):
            parts = module.split(".")
            if parts[0] == "fairseq_prune" and len(parts) > 1 and parts[1] in {*LAYERS} - allowed:
                bad.append(f"{name_of(path)} imports {module}")
    assert bad == []


def test_every_folder_has_a_layer() -> None:
    folders = {folder(path) for path in SOURCES} - {"", "compat"}
    assert folders <= LAYERS.keys()


def test_fairseq_is_imported_from_the_tasks_up() -> None:
    theirs = {"fairseq", "fairseq_cli", "hydra", "omegaconf"}
    assert importing(theirs, filter(is_without_fairseq, SOURCES)) == []


def test_figures_are_drawn_in_reports_only() -> None:
    elsewhere = (path for path in SOURCES if folder(path) != "report")
    assert importing({"matplotlib", "plotly"}, elsewhere) == []


def importing(packages: set[str], paths: Iterable[Path]) -> list[str]:
    """Returns which of the files import one of these packages, and what of it."""
    return [
        f"{name_of(path)} imports {module}"
        for path in paths
        for module in imports(path)
        if top(module) in packages
    ]


def test_compat_stands_alone() -> None:
    compat = [path for path in SOURCES if folder(path) == "compat"]
    assert importing({"fairseq_prune"}, compat) == []
    bad = []
    for path in set(SOURCES) - set(compat):
        allowed = tuple(f"{COMPAT}.{name}" for name in FROM_COMPAT.get(name_of(path), ()))
        for module in imports(path):
            is_ours = top(module) == COMPAT and not module.startswith(allowed)
            if is_ours or module.startswith("fairseq_prune.compat"):
                bad.append(f"{name_of(path)} imports {module}")
    assert bad == []


def test_imports_are_absolute() -> None:
    bad = []
    for path in EVERY_SOURCE:
        relative = [n for n in nodes(path) if isinstance(n, ast.ImportFrom) and n.level]
        bad += [f"{path}:{node.lineno}" for node in relative]
    assert bad == []


def test_files_are_short() -> None:
    """A test file may list many cases of one thing."""
    measured = [path for path in EVERY_SOURCE if ROOT / "tests" not in path.parents]
    lines = {str(path): path.read_text(encoding="utf-8").count("\n") for path in measured}
    assert {path: count for path, count in lines.items() if count > 500} == {}


def test_functions_are_short() -> None:
    bad = []
    for path in SOURCES:
        for node in nodes(path):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > 40:
                    bad.append(f"{path}:{node.lineno} {node.name} has {length} lines")
    assert bad == []


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
