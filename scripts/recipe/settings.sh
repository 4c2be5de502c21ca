# shellcheck shell=bash disable=SC2034 # read by those that source this
# What every step of a recipe needs; sourced by prepare.sh, train.sh, ... of scripts/SET.
#
# OUT        folder of the recipe (default runs/SET)
# MODEL      a configuration of configs/train/SET (default: the first that configs/data/SET.yaml names)
# SEED       of training and pruning (1)
# SPARSITY   fraction of the weights to remove (0.8); SCHEME (class-blind), SALIENCY (magnitude)
# RUN        name of the pruned and the retrained model's folder (default SALIENCY-SCHEME-SPARSITY)
# GPUS       of this machine to use (default: all; without any, one process on the CPU)
# NODES      machines (1), NODE_RANK this one's number from 0, MASTER_ADDR and MASTER_PORT (29500)
#            the first one's; all must see OUT
# FP16       1 or 0: half precision (default: 1 on a GPU)
# AVERAGE    prune and evaluate the average of the last N epochs (default: the best epoch alone)
# TRAIN_FLAGS     more flags of fairseq-train, after the configuration's, such as "--max-epoch 3"
# EVALUATE_FLAGS  more flags of fairseq-prune evaluate (classify)
# PROGRAMS   folder with fairseq's programs (default: the activated environment's; without one,
#            .venv/bin, set up first)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[1]}")" && pwd)
root=$(cd "$here/../.." && pwd)
set_name=$(basename "$here")
if [[ $set_name == recipe ]]; then
  echo "recipe: run the script of a data set, such as scripts/iwslt15/${BASH_SOURCE[1]##*/}." >&2
  exit 2
fi
programs=${PROGRAMS:-${VIRTUAL_ENV:+$VIRTUAL_ENV/bin}}
if [[ ! $programs ]]; then
  bash "$root/scripts/setup_env.sh"
  programs=${VENV:-$root/.venv}/bin
fi
PATH=$programs:$PATH
export PATH OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"

die() {
  printf '%s: %s\n' "$set_name" "$*" >&2
  exit 2
}

say() { printf '%s: %s\n' "$set_name" "$*"; }

# follow COMMAND...: runs it, and takes it along when this script is told to end.
follow() {
  local child code=0
  "$@" </dev/null &
  child=$!
  trap 'kill -TERM "$child" 2>/dev/null; wait "$child"; exit 143' INT TERM
  wait "$child" || code=$?
  trap - INT TERM
  return $code
}

is_newer() { [[ -f $1 && -f $2 && $1 -nt $2 ]]; }

# once STAMP COMMAND...: shows a command and runs it, unless it has been run to its end, and says
# where its log is when it fails. What it prints goes to STAMP.log, too. With `alone` set, another
# command that was run to its end here is not followed by this one.
once() {
  local stamp=$1 line
  shift
  line=$(printf '%q ' "$@")
  if [[ -f $stamp.done && $(<"$stamp.done") == "$line" ]]; then
    say "done before: ${stamp##*/} ($stamp.log)"
    return
  fi
  if [[ $alone && -f $stamp.done ]]; then
    die "${stamp%/*} is of another command ($stamp.log); choose another RUN, or remove that folder."
  fi
  mkdir -p "$(dirname "$stamp")"
  printf '$ %s\n' "$line" | tee -a "$stamp.log"
  follow "$@" > >(tee -a "$stamp.log") 2>&1 ||
    die "this failed: ${stamp##*/}; its log is $stamp.log. The same command goes on from there."
  if ((${NODE_RANK:-0} == 0)); then
    printf '%s\n' "$line" >"$stamp.done.part"
    mv "$stamp.done.part" "$stamp.done"
  fi
}

# The checkpoint of a training that is used further.
checkpoint_of() { # FOLDER
  if ((${AVERAGE:-1} > 1)); then echo "$1/averaged.pt"; else echo "$1/checkpoint_best.pt"; fi
}

average() { # FOLDER
  if ((${AVERAGE:-1} > 1 && ${NODE_RANK:-0} == 0)); then
    local files=() epoch
    for epoch in $(find "$1" -maxdepth 1 -name 'checkpoint[0-9]*.pt' -printf '%f\n' |
      tr -dc '0-9\n' | sort -n | tail -n "$AVERAGE"); do
      files+=("$1/checkpoint$epoch.pt")
    done
    ((${#files[@]})) || die "$1 has no checkpoint of a whole epoch to average; train longer."
    once "$1/average" fairseq-prune average "${files[@]}" --output "$1/averaged.pt" --force
  fi
}

# what facts.py assigns
model='' out='' data='' title='' results='' alone='' evaluate=() score_on=() launch=() flags=()
text=$(python -m scripts.recipe.facts "$set_name" --model "${MODEL:-}" \
  --out "${OUT:-$root/runs/$set_name}" --section "${section:-}") || exit 2
eval "$text"
base=$out/$model-seed${SEED:-1}
dense=$base/dense
pruned=$base/${RUN:-${SALIENCY:-magnitude}-${SCHEME:-class-blind}-${SPARSITY:-0.8}}
read -ra train_more <<<"${TRAIN_FLAGS:-}"
read -ra evaluate_more <<<"${EVALUATE_FLAGS:-}"
keep=(--no-epoch-checkpoints)
if ((${AVERAGE:-1} > 1)); then keep=(--keep-last-epochs "$AVERAGE"); fi
