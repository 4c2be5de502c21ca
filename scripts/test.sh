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
# one worker a core, up to 8; a file's tests stay together, as they share what is costly to make
"$bin/python" -m pytest -m "$which" -n auto --maxprocesses 8 --dist loadfile "$@"
