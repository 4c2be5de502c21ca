#!/usr/bin/env bash
# A recipe on several machines of a Slurm cluster, all their GPUs in one training.
#
#   sbatch --nodes 2 --gpus-per-node 8 --ntasks-per-node 1 --time 2-0 scripts/slurm.sh wmt14
#
# From the repository, which all machines must see, and OUT too (settings: scripts/recipe.sh).
# A job that was cut goes on when it is submitted again.
set -euo pipefail

set_name=${1:?"usage: sbatch ... scripts/slurm.sh SET"}
# Slurm runs a copy of this script: where it was submitted is the repository
scripts=${SLURM_SUBMIT_DIR:-.}/scripts
run=$scripts/$set_name/run.sh
[[ -f $run ]] || { echo "slurm.sh: submit it from the repository; there is no $run." >&2 && exit 2; }
[[ ${PROGRAMS:-}${VIRTUAL_ENV:-} ]] || bash "$scripts/setup_env.sh" # once, not on every machine

everywhere() { # STEP: on all machines at once
  local first
  first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
  # shellcheck disable=SC2016 # the machine's number is known on the machine
  NODES=${SLURM_NNODES:-1} MASTER_ADDR=$first srun --kill-on-bad-exit=1 \
    bash -c 'NODE_RANK=$SLURM_NODEID exec bash "$@"' bash "$run" "$1"
}

bash "$run" prepare
everywhere train
bash "$run" prune
everywhere retrain
bash "$run" evaluate
if [[ $set_name != ag_news ]]; then bash "$run" generate; fi
