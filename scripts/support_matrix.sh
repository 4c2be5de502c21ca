#!/usr/bin/env bash
# Runs fairseq's commands on several Pythons and prints the table of README's "tested on".
#
#   bash scripts/support_matrix.sh [PYTHON...]
#
# PYTHON  interpreters; default: the pythons 3.10 to 3.13 that are found, those of pyenv included
# MATRIX  folder for the environments and the runs (default: a new one under /tmp)
# NUMPY   another numpy than constraints.txt has, for instance NUMPY=1.26.4
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
matrix=${MATRIX:-$(mktemp -d "${TMPDIR:-/tmp}/fairseq_prune_matrix.XXXXXX")}

find_pythons() {
    local minor found
    for minor in 3.10 3.11 3.12 3.13; do
        found=$(find "${PYENV_ROOT:-$HOME/.pyenv}/versions" -path "*/$minor.*/bin/python$minor" 2>/dev/null \
            | sort | tail -n 1 || true)
        [ -n "$found" ] || found=$(command -v "python$minor" || true)
        [ -z "$found" ] || printf '%s\n' "$found"
    done
}

versions() {
    "$1/python" - <<'PYTHON'
import platform
from importlib.metadata import version

print(f"Python {platform.python_version()}", *(f"{p} {version(p)}" for p in ("torch", "numpy")), sep=", ")
PYTHON
}

# run_one PYTHON: sets up, runs, leaves the results in a file; prints the line of the table.
run_one() {
    local python=$1 minor venv work
    minor=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    venv=$matrix/$minor
    work=$matrix/run-$minor
    rm -rf "$work"
    mkdir -p "$work"
    if ! VENV=$venv PYTHON=$python bash "$root/scripts/setup_env.sh" >&2; then
        printf '| Python %s | set-up failed |\n' "$minor"
        return
    fi
    if [ -n "${NUMPY:-}" ]; then
        "$venv/bin/python" -m pip install --quiet "numpy==$NUMPY" >&2
        rm -f "$venv/.fairseq_prune_ready" # it is no longer what constraints.txt says
    fi
    bash "$root/scripts/smoke_fairseq.sh" "$venv/bin" "$work" | tee "$work/results.tsv" >&2 || true
    printf '| %s | %s of %s | %s |\n' "$(versions "$venv/bin")" "$(grep -c '^ok' "$work/results.tsv")" \
        "$(wc -l <"$work/results.tsv")" \
        "$(sed -n 's/^FAILED\t//p' "$work/results.tsv" | paste -sd, - | sed 's/^$/-/')"
}

pythons=("$@")
if [ ${#pythons[@]} -eq 0 ]; then
    mapfile -t pythons < <(find_pythons)
fi
if [ ${#pythons[@]} -eq 0 ]; then
    echo "support_matrix: no Python 3.10 to 3.13 was found; name them as arguments." >&2
    exit 1
fi

lines=()
for python in "${pythons[@]}"; do
    printf '== %s\n' "$python" >&2
    lines+=("$(run_one "$python")")
done
printf '| environment | commands that work | failed |\n|---|---|---|\n'
printf '%s\n' "${lines[@]}"
