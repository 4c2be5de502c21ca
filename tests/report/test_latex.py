"""What a report leaves for papers can be put into one as it is."""

import shutil
import subprocess
from pathlib import Path

import pytest

from fairseq_prune.report.latex import long_table, table_float
from fairseq_prune.report.report import write_report

PAPER = r"""\documentclass%s{article}
\usepackage{booktabs,graphicx,longtable,pdflscape}
\begin{document}
\input{table}
\input{figures}
\onecolumn
\input{numbers}
\end{document}
"""
SAME = [["stage", "scheme", "removed", "seeds", "BLEU"],
        ["pruned", "a", "40.00%", "3", "1.00 ± 0.10"],
        ["pruned", "[b", "60.00%", "3", "0.50 ± 0.20"],
        ["retrained", "a", "60.00%", "3", "0.90 ± 0.20"]]  # fmt: skip


def test_a_long_table_says_once_what_is_the_same_and_groups_by_stage() -> None:
    text = long_table(SAME, "Every number", "n")
    assert r"\caption{Every number (seeds 3)}\label{tab:n}" in text
    assert r"\begin{longtable}{lrr}" in text
    assert r"\multicolumn{3}{l}{\itshape pruned} \\*" in text and text.count("itshape") == 2
    assert r"{[b} & 60.00\% & 0.50{\tiny$\pm$0.20} \\" in text


def test_a_table_is_a_float_whose_caption_says_what_it_is() -> None:
    text = table_float(SAME, "A & b", "t")
    assert r"\caption{A \& b}\label{tab:t}" in text and r" & scheme & removed" in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
@pytest.mark.parametrize("options", ["", "[twocolumn]"])
def test_it_compiles_and_fits_the_page(reported: Path, tmp_path: Path, options: str) -> None:
    write_report([str(reported)], str(tmp_path), "t", "c", ("pdf", "tex"))
    (tmp_path / "paper.tex").write_text(PAPER % options)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull \\hbox" not in done.stdout and "Undefined" not in done.stdout
    assert (tmp_path / "paper.pdf").stat().st_size > 20_000
