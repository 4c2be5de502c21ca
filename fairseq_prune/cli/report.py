"""``fairseq-prune report``: tables, figures and a page of what was evaluated."""

from argparse import Namespace
from pathlib import Path


def run(arguments: Namespace) -> int:
    """Write the report and print its tables; returns the exit code."""
    from fairseq_prune.cli._progress import Progress
    from fairseq_prune.files.folder import check_folder
    from fairseq_prune.files.text import listed, this_command
    from fairseq_prune.report.comet import check_comet
    from fairseq_prune.report.report import write_report

    command = arguments.made_by or this_command()
    first = Path(arguments.results[0])
    output = arguments.output or str((first if first.is_dir() else first.parent) / "report")
    check_folder("--output", output)
    if arguments.comet is not None:
        check_comet(arguments.comet)
    title = arguments.title or f"Pruning: {listed(_names(arguments.results), 3)}"
    how = arguments.format, arguments.comet
    with Progress("reading, testing and drawing"):
        text = write_report(arguments.results, output, title, command, *how)
    print(text)
    print(f"report: {output}/index.html")
    return 0


def _names(places: list[str]) -> list[str]:
    """The names of the folders that are reported, each once."""
    folders = (path if path.is_dir() else path.parent for path in map(Path, places))
    return list(dict.fromkeys(folder.resolve().name for folder in folders))
