"""``python -m fairseq_prune`` is ``fairseq-prune``."""

import sys

from fairseq_prune.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
