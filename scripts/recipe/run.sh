#!/usr/bin/env bash
# The whole recipe: prepares the data, trains, prunes, retrains, evaluates.
#
#   bash scripts/SET/run.sh [FLAGS OF fairseq-train, for training and retraining]
#
# Settings: scripts/recipe/settings.sh. The same command goes on where it was cut.
# shellcheck source=../recipe/settings.sh
source "$(dirname "${BASH_SOURCE[0]}")/../recipe/settings.sh"

((${NODES:-1} == 1)) || die "run.sh is for one machine; scripts/recipe/slurm.sh shows several."
export PROGRAMS=$programs
follow bash "$here/prepare.sh"
follow bash "$here/train.sh" "$@"
follow bash "$here/prune.sh"
follow bash "$here/retrain.sh" "$@"
follow bash "$here/evaluate.sh"
