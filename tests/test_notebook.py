"""docs/python/notebook.ipynb: executed as it lies there, and again by the slow tests."""

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "docs" / "python" / "notebook.ipynb"
LIMIT = 900  # seconds that a cell may take on a busy machine


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds(notebook: Any) -> list[set[str]]:
    """What each cell gave: text, errors, and the types of what is shown."""
    return [
        {kind for o in cell.outputs for kind in ([o.get("name"), *o.get("data", {})]) if kind}
        for cell in code_cells(notebook)
    ]


def test_it_lies_there_as_it_was_executed() -> None:
    notebook: Any = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert NOTEBOOK.stat().st_size < 100_000
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == [*range(1, len(cells) + 1)]
    shown = kinds(notebook)
    assert not any("stderr" in kind for kind in shown)
    assert sum("image/png" in kind for kind in shown) == 1
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert str(ROOT) not in text and "/tmp/" not in text  # whoever runs it has other folders


def test_it_uses_all_that_a_checkpoint_can_do() -> None:
    source = "\n".join(cell.source for cell in code_cells(nbformat.read(NOTEBOOK, as_version=4)))
    for name in ("prune", "save", "evaluate", "shrink", "export", "translate"):
        assert re.search(rf"\.{name}\(", source), name
    for name in ("open_checkpoint", "hold", "verify"):
        assert f"fairseq_prune.{name}(" in source, name


@pytest.mark.slow
def test_a_copy_runs_from_top_to_bottom(tmp_path: Path) -> None:
    notebook: Any = nbformat.read(NOTEBOOK, as_version=4)
    before = kinds(notebook)
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=LIMIT, resources=resources).execute()
    assert kinds(notebook) == before
    outputs = "".join(o.get("text", "") for cell in code_cells(notebook) for o in cell.outputs)
    dense, pruned, trained = map(
        float, re.findall(r"^(?:dense|60%|and) .*BLEU ([\d.]+)$", outputs, re.M)
    )
    assert dense > trained > pruned
    assert (tmp_path / "notebook-run" / "ct2" / "model.bin").is_file()
