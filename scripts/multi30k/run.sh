#!/usr/bin/env bash
# Prunes a model for Multi30k German-English: dense, pruned by every scheme, retrained, sparse from
# the beginning; decodes and scores them all; leaves a table, figures and a page.
#
#   MODEL=lstm bash scripts/multi30k/run.sh           (or MODEL=transformer)
#
# MULTI30K_DIR  folder with the data (see prepare.sh); without it they are fetched
# OUT           default runs/multi30k; everything that scripts/ablation.sh reads works here too
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
model=${MODEL:-lstm}
OUT=${OUT:-$root/runs/multi30k}
config=$root/configs/train/multi30k/$model.yaml
if ! [[ -f $config ]]; then
  echo "multi30k: MODEL=$model is unknown; choose lstm or transformer." >&2
  exit 2
fi
if [[ ! ${PROGRAMS:-} ]]; then bash "$root/scripts/setup_env.sh"; fi
export PROGRAMS=${PROGRAMS:-${VENV:-$root/.venv}/bin}
PATH=$PROGRAMS:$PATH bash "$root/scripts/multi30k/prepare.sh" "$OUT/data"
export OUT DATA=$OUT/data/data-bin REFERENCE=$OUT/data/raw/test.en
export TITLE=${TITLE:-Multi30k German-English}
export MADE_BY=${MADE_BY:-MODEL=$model bash scripts/multi30k/run.sh}
exec bash "$root/scripts/ablation.sh" "$config"
