#!/usr/bin/env bash
# The main job on a corpus of our own, from nothing, in minutes: sets up, makes the corpus, trains a
# small LSTM and a small Transformer, prunes, retrains, trains sparse from the beginning, decodes
# and scores them all, and leaves a table, figures and a page: configs/study/quickstart.yaml.
#
#   bash scripts/quickstart.sh [FLAGS OF fairseq-prune study run]
#
# OUT       default runs/quickstart
# PROGRAMS  folder with fairseq's programs (default: .venv/bin, set up first)
# A second run goes on where the first was cut; after a finished one it costs seconds.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if [[ ! ${PROGRAMS:-} ]]; then bash "$root/scripts/setup_env.sh"; fi
exec "${PROGRAMS:-${VENV:-$root/.venv}/bin}/fairseq-prune" study run \
  "$root/configs/study/quickstart.yaml" --output "${OUT:-$root/runs/quickstart}" "$@"
