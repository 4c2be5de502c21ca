"""``fairseq-prune report``: tables, figures and a page of what was evaluated."""

from argparse import Namespace
from pathlib import Path


def run(arguments: Namespace) -> int:
    """Write the report and print its tables; returns the exit code."""
    from fairseq_prune.cli._progress import Progress
    from fairseq_prune.files.folder import check_folder
    from fairseq_prune.files.text import this_command
    from fairseq_prune.report.comet import check_comet
    from fairseq_prune.report.report import write_report

    command = arguments.made_by or this_command()
    first = Path(arguments.results[0])
    output = arguments.output or str((first if first.is_dir() else first.parent) / "report")
    check_folder("--output", output)
    if arguments.comet is not None:
        check_comet(arguments.comet)
    how = arguments.format, arguments.comet
    with Progress("reading, testing and drawing"):
        text = write_report(arguments.results, output, arguments.title, command, *how)
    print(text)
    print(f"report: {output}/index.html")
    return 0
