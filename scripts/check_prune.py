"""Says what is wrong with flags of ``fairseq-prune apply`` before a model is trained for them.

python -m scripts.check_prune FLAGS
"""

import sys
from collections.abc import Sequence

from fairseq_prune.checkpoints.apply import check_recipe
from fairseq_prune.cli.main import build_parser
from fairseq_prune.pruning.flags import recipe_of


def main(words: Sequence[str]) -> int:
    """The exit code, after what is wrong was said."""
    arguments = build_parser().parse_args(["apply", "CHECKPOINT", *words])
    try:
        check_recipe(recipe_of(arguments), arguments.data)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
