"""A clock that jumps: no weight, and no time at which it is pruned, goes by it.

What else asks for the time: tests/study/test_worker.py, tests/scripts/test_corpus.py.
"""

from pathlib import Path

import pytest

from tests.conftest import ARCHES, TRAINING
from tests.faults.test_kills import GRADUAL
from tests.faults.trainings import Case


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["lstm", "transformer"])
def test_a_clock_that_jumps_changes_nothing(corpus: Path, tmp_path: Path, arch: str) -> None:
    case = Case([corpus, *ARCHES[arch], *TRAINING, *GRADUAL, "--max-update", 8], tmp_path)
    case.finish("straight")
    assert case.end("jumped", "clock:86400")[0] == 0
    assert case.differences("straight", "jumped") == []
