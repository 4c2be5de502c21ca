#!/usr/bin/env bash
# Runs fairseq's own unit tests, those of the release 0.12.2, against the installed fairseq, without
# our compatibility layer and with it, and prints what differs. Exit code 1: one is worse with it.
#
#   bash scripts/fairseq_tests.sh [CHECKOUT] [ARGS FOR PYTEST]
#
# CHECKOUT      fairseq's repository at the tag v0.12.2; without it, git clones one. The package from
#               the index does not contain the tests.
# PYTHON, VENV  as for setup_env.sh. Bare fairseq cannot be imported on Python 3.11 and later, so
#               that Python 3.10 says most: PYTHON=python3.10 VENV=/tmp/bare
#
# Tests of speech, of several GPUs and of recognition are left out.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$root/scripts/setup_env.sh"
bin=${VENV:-$root/.venv}/bin
work=$(mktemp -d "${TMPDIR:-/tmp}/fairseq_tests.XXXXXX")
trap 'rm -rf "$work"' EXIT

checkout=${1:-}
if [ $# -gt 0 ]; then shift; fi
if [ -z "$checkout" ]; then
    checkout=$work/checkout
    git clone --quiet --depth 1 --branch v0.12.2 https://github.com/facebookresearch/fairseq "$checkout"
fi
if ! [ -f "$checkout/tests/test_train.py" ]; then
    echo "fairseq_tests: $checkout has no tests/test_train.py; name a checkout of fairseq's v0.12.2." >&2
    exit 1
fi

# without its fairseq/ folder, so that the installed package is what gets tested
mkdir "$work/run"
for part in tests scripts examples; do
    if [ -d "$checkout/$part" ]; then cp -r "$checkout/$part" "$work/run/"; fi
done
cd "$work/run"
export OMP_NUM_THREADS=1

# run_all NAME [ARGS FOR PYTEST]: leaves the outcome of each test in NAME.xml
run_all() {
    local name=$1 code=0
    shift
    echo "fairseq_tests: $name the layer" >&2
    "$bin/python" -m pytest -c /dev/null --rootdir "$work/run" -p no:cacheprovider -q --tb no \
        --no-summary --junitxml "$work/$name.xml" -n auto --maxprocesses 8 --dist loadfile \
        --ignore tests/speech --ignore tests/speech_recognition --ignore tests/gpu \
        --ignore tests/distributed tests "$@" >"$work/$name.log" 2>&1 || code=$?
    tail -n 1 "$work/$name.log" >&2
    if ! [ -f "$work/$name.xml" ]; then
        cat "$work/$name.log" >&2
        exit "$code"
    fi
}

FAIRSEQ_PRUNE_COMPAT=0 run_all without "$@"
run_all with "$@"

"$bin/python" - "$work/without.xml" "$work/with.xml" <<'PYTHON'
import sys
from xml.etree import ElementTree


def outcomes(path):
    """What became of each test: passed, skipped, failed."""
    found = {}
    for case in ElementTree.parse(path).iter("testcase"):
        kinds = {child.tag for child in case} & {"failure", "error", "skipped"}
        outcome = "failed" if kinds & {"failure", "error"} else "skipped" if kinds else "passed"
        found[f"{case.get('classname')}::{case.get('name')}"] = outcome
    return found


without, layer = map(outcomes, sys.argv[1:])
for name, found in (("without", without), ("with", layer)):
    counts = {kind: list(found.values()).count(kind) for kind in ("passed", "failed", "skipped")}
    print(f"{name:8}" + "  ".join(f"{count:5} {kind}" for kind, count in counts.items()))
worse = [name for name, was in without.items() if was == "passed" and layer.get(name) != was]
better = [name for name, was in layer.items() if was == "passed" and without.get(name) != was]
for name in worse:
    print(f"worse: {name} passed without, {layer.get(name, 'is not there')} with")
print(f"{len(better)} pass with the layer only, {len(worse)} without it only")
sys.exit(bool(worse))
PYTHON
