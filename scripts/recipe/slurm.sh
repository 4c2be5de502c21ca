#!/usr/bin/env bash
# A recipe on several machines of a Slurm cluster, all their GPUs in one training.
#
#   sbatch --nodes 2 --gpus-per-node 8 --ntasks-per-node 1 --time 2-0 scripts/recipe/slurm.sh wmt14
#
# From the repository, which all machines must see, and OUT too (settings: scripts/recipe/settings.sh).
# A job that was cut goes on when it is submitted again.
set -euo pipefail

set_name=${1:?"usage: sbatch ... scripts/recipe/slurm.sh SET [FLAGS OF fairseq-train]"}
shift
# Slurm runs a copy of this script: where it was submitted is the repository
scripts=${SLURM_SUBMIT_DIR:-.}/scripts
[[ -d $scripts/$set_name ]] || { echo "slurm.sh: submit it from the repository; $scripts has no $set_name." >&2 && exit 2; }
bash "$scripts/setup_env.sh"
NODES=${SLURM_NNODES:-1}
MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export NODES MASTER_ADDR

everywhere() { # SCRIPT ARGS...
  # shellcheck disable=SC2016 # the machine's number is known on the machine
  srun --kill-on-bad-exit=1 bash -c 'NODE_RANK=$SLURM_NODEID exec bash "$@"' bash "$@"
}

bash "$scripts/$set_name/prepare.sh"
everywhere "$scripts/$set_name/train.sh" "$@"
bash "$scripts/$set_name/prune.sh"
everywhere "$scripts/$set_name/retrain.sh" "$@"
bash "$scripts/$set_name/evaluate.sh"
