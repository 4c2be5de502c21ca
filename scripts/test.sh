#!/usr/bin/env bash
# Checks everything: style, types, tests. Sets itself up first.
#
#   bash scripts/test.sh [ARGS FOR PYTEST]     the fast tests
#   bash scripts/test.sh --slow [ARGS]         the slow ones
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
which="not slow"
if [ "${1:-}" = --slow ]; then
    which=slow
    shift
fi

bash scripts/setup_env.sh
bin=${VENV:-$root/.venv}/bin

# more threads than cores make tests slower, and the order of sums depend on the machine
export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1

"$bin/ruff" check .
"$bin/mypy"
# one worker a core, up to 8; each begins with files of its own, as a file's tests share what is
# costly to make, and takes tests of another's once these are done
"$bin/python" -m pytest -m "$which" -n auto --maxprocesses 8 --dist worksteal "$@"
