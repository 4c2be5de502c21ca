#!/usr/bin/env bash
# Quality for speed, docs/front: trains the models of configs/study/front.yaml that are not there
# yet, measures their speeds, and draws BLEU against them.
# Usage: front.sh DIR   (fairseq-prune and python on PATH; nothing else may run meanwhile)
# Leaves DIR/front/front.png, table.md, and for each model MODEL.md with all that bench says.
# BATCHES (1 8 64), SENTENCES (100) and ROUNDS (5) are those of fairseq-prune bench; CPU_TIME=1 is
# its --cpu-time, for a machine on which other work runs.
set -euo pipefail
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

if [[ $# -ne 1 ]]; then
  echo "Usage: $0 DIR" >&2
  exit 2
fi
if ! command -v fairseq-prune >/dev/null; then
  echo "$0: fairseq-prune is not on PATH; activate the environment first (. .venv/bin/activate)." >&2
  exit 2
fi
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
study=$here/../../configs/study/front.yaml
read -r -a batches <<<"${BATCHES:-1 8 64}"

fairseq-prune study run "$study" --output "$1"
python "$here/front.py" "$study" "$1" \
  --batches "${batches[@]}" --sentences "${SENTENCES:-100}" --rounds "${ROUNDS:-5}" \
  ${CPU_TIME:+--cpu-time}
