#!/usr/bin/env bash
# Prunes an LSTM for Multi30k German-English: dense, pruned by every scheme, retrained; decodes and
# scores them all; leaves a table, figures and a page: configs/study/multi30k.yaml.
#
#   MULTI30K_DIR=... bash scripts/multi30k/run.sh [FLAGS OF fairseq-prune study run]
#
# MULTI30K_DIR  folder with the data (see prepare.sh); without it they are fetched
# STUDY         default configs/study/multi30k.yaml; see2016_multi30k.yaml is the paper's whole grid
# OUT           default runs/multi30k
# PROGRAMS      folder with fairseq's programs (default: .venv/bin, set up first)
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
if [[ ! ${PROGRAMS:-} ]]; then bash "$root/scripts/setup_env.sh"; fi
exec "${PROGRAMS:-${VENV:-$root/.venv}/bin}/fairseq-prune" study run \
  "${STUDY:-$root/configs/study/multi30k.yaml}" --output "${OUT:-$root/runs/multi30k}" "$@"
