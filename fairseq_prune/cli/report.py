"""``fairseq-prune report``: tables, figures and a page of what was evaluated."""

from argparse import ArgumentParser, Namespace

HELP = "make tables, figures and a page of what was evaluated"
DESCRIPTION = """
Reads the results of fairseq-prune evaluate and leaves in a folder: table.txt, table.md, table.csv
(every number), figures 1 and 2 of See, Luong & Manning (2016) for each model as PNG (BLEU against
what is removed: by scheme; pruned, retrained and sparse from the beginning), and index.html, one
page with all of it that needs no network. Tags of evaluate tell models (model=NAME) and stages
(stage=dense, pruned, retrained or scratch) apart.
"""
EXAMPLES = """
examples:
  fairseq-prune report runs/multi30k/lstm --output runs/multi30k/lstm/report
  fairseq-prune report a/results.jsonl b/results.jsonl --output report --title "Two models"
"""


def add(parser: ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    parser.add_argument(
        "results", metavar="RESULTS", nargs="+", help="results files, or folders with such below"
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="folder of the report")
    parser.add_argument("--title", default="Pruning", help="heading of the page")
    parser.add_argument(
        "--made-by",
        metavar="COMMAND",
        help="the command to show beside the figures (default: this one)",
    )


def run(arguments: Namespace) -> int:
    """Write the report and print its tables; returns the exit code."""
    from fairseq_prune.analysis.report import write_report
    from fairseq_prune.pruning.record import this_command

    command = arguments.made_by or this_command()
    print(write_report(arguments.results, arguments.output, arguments.title, command))
    print(f"report: {arguments.output}/index.html")
    return 0
