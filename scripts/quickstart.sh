#!/usr/bin/env bash
# The main job on a corpus of our own, from nothing, in minutes: sets up, makes the corpus, trains a
# small LSTM and a small Transformer, prunes, retrains, trains sparse from the beginning, decodes
# and scores them all, and leaves a table, figures and a page.
#
#   bash scripts/quickstart.sh
#
# OUT  default runs/quickstart; everything that scripts/ablation.sh reads works here too
# A second run goes on where the first was cut; after a finished one it costs seconds.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
OUT=${OUT:-$root/runs/quickstart}
if [[ ! ${PROGRAMS:-} ]]; then bash "$root/scripts/setup_env.sh"; fi
export PROGRAMS=${PROGRAMS:-${VENV:-$root/.venv}/bin}
PATH=$PROGRAMS:$PATH bash "$root/scripts/data/prepare_embedded.sh" "$OUT/data"
export OUT DATA=$OUT/data/data-bin REFERENCE=$OUT/data/raw/test.en
export PERCENTS=${PERCENTS:-20 40 60 70 80}
export RETRAIN=${RETRAIN:-class-blind} RETRAIN_PERCENTS=${RETRAIN_PERCENTS:-60 70 80}
export SCRATCH=${SCRATCH:-class-blind} SCRATCH_PERCENTS=${SCRATCH_PERCENTS:-70}
export TITLE=${TITLE:-Pruning a small LSTM and a small Transformer}
export MADE_BY=${MADE_BY:-bash scripts/quickstart.sh}
exec bash "$root/scripts/ablation.sh" "$root"/configs/train/embedded/{lstm,transformer}.yaml
