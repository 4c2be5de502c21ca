# shellcheck shell=bash disable=SC2034,SC2154 # variables of those that source this
# What the recipes share: scripts/SET/prepare.sh and scripts/SET/run.sh source it.
#
# OUT        folder of the recipe (default runs/SET)
# MODEL      one of those that scripts/SET/run.sh has (default: its first)
# SEED       of training and pruning (1)
# SPARSITY   fraction of the weights to remove (0.8); SCHEME (class-blind), SALIENCY (magnitude)
# RUN        name of the pruned and the retrained model's folder (default SALIENCY-SCHEME-SPARSITY)
# GPUS       of this machine to use (default: all; without any, one process on the CPU)
# NODES      machines (1), NODE_RANK this one's number from 0, MASTER_ADDR and MASTER_PORT (29500)
#            the first one's; all must see OUT
# FP16       1 or 0: half precision (default: 1 on a GPU)
# AVERAGE    prune and evaluate the average of the last N epochs (default: the best epoch alone)
# TRAIN_FLAGS, PRUNE_FLAGS, GENERATE_FLAGS, EVALUATE_FLAGS
#            more flags of fairseq-train, fairseq-prune apply, fairseq-generate, fairseq-prune
#            evaluate (classify), after those of the recipe
# SET_URL    (IWSLT15_URL, WMT14_URL, ...) another place to fetch data from: https://, file://, a folder
# SET_SHA256 a file of sha256sum for that place's files, or `none`; default: SHA256SUMS there, if it
#            is a folder that has one, or the official sums
# PIECES     size of a sentencepiece vocabulary
# PROGRAMS   folder with fairseq's programs (default: the activated environment's; without one,
#            .venv/bin, set up first)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[1]}")" && pwd)
root=$(cd "$here/../.." && pwd)
set_name=${here##*/}

die() {
  printf '%s: %s\n' "$set_name" "$*" >&2
  exit 2
}

say() { printf '%s: %s\n' "$set_name" "$*"; }

PROGRAMS=${PROGRAMS:-${VIRTUAL_ENV:+$VIRTUAL_ENV/bin}}
if [[ ! $PROGRAMS ]]; then
  bash "$root/scripts/setup_env.sh"
  PROGRAMS=${VENV:-$root/.venv}/bin
fi
PATH=$PROGRAMS:$PATH
export PROGRAMS PATH PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

out=$(realpath -ms "${OUT:-$root/runs/$set_name}")
data=$out/data
seed=${SEED:-1} sparsity=${SPARSITY:-0.8} scheme=${SCHEME:-class-blind} saliency=${SALIENCY:-magnitude}
read -ra train_more <<<"${TRAIN_FLAGS:-}"
read -ra prune_more <<<"${PRUNE_FLAGS:-}"
read -ra generate_more <<<"${GENERATE_FLAGS:-}"
read -ra evaluate_more <<<"${EVALUATE_FLAGS:-}"

# Which checkpoints a training keeps, and the one of them that is used further.
keep=(--no-epoch-checkpoints) best=checkpoint_best.pt
if [[ ${AVERAGE:-1} != 1 ]]; then
  [[ $AVERAGE =~ ^[1-9][0-9]*$ ]] || die "AVERAGE=$AVERAGE is no number of epochs."
  keep=(--keep-last-epochs "$AVERAGE") best=averaged.pt
fi

# choose_model NAME...: the one that MODEL names, or the first, and where its files go.
choose_model() {
  model=${MODEL:-$1}
  [[ " $* " == *" $model "* ]] || die "MODEL=$model is none of $*."
  base=$out/$model-seed$seed
  dense=$base/dense
  pruned=$base/${RUN:-$saliency-$scheme-$sparsity}
}

# choose_steps "KNOWN..." [STEP...]: those to do, or all. Settings that make no sense are refused.
choose_steps() {
  local known=$1 step
  shift
  steps=" ${*:-$known} "
  for step in $steps; do
    [[ " $known " == *" $step "* ]] ||
      die "there is no step $step, only $known; flags go into TRAIN_FLAGS, PRUNE_FLAGS, ..."
  done
  if [[ ${NODES:-1} != 1 && $# -ne 1 ]]; then
    die "NODES=$NODES takes one step at a time, on every machine the same; see scripts/slurm.sh."
  fi
  if wanted train || wanted retrain; then python -m scripts.ranks >/dev/null || exit 2; fi
  # saliencies that look at more than the weights are shown the data
  look=()
  case $saliency in magnitude | random | obd-adam) ;; *) look=(--data "$bin") ;; esac
  if wanted prune && [[ ${SPARSITY:-}${SCHEME:-}${SALIENCY:-}${PRUNE_FLAGS:-} ]]; then
    python -m scripts.check_prune --prune-scheme "$scheme" --prune-saliency "$saliency" \
      --prune-sparsity "$sparsity" "${look[@]}" "${prune_more[@]}" || exit 2
  fi
}

wanted() { [[ $steps == *" $1 "* ]]; }

# follow COMMAND...: runs it, and takes it along when this script is told to end.
follow() {
  local child code=0
  "$@" </dev/null &
  child=$!
  trap 'kill -TERM "$child" 2>/dev/null; wait "$child" || true; exit 130' INT
  trap 'kill -TERM "$child" 2>/dev/null; wait "$child" || true; exit 143' TERM
  wait "$child" || code=$?
  trap - INT TERM
  return $code
}

# once STAMP COMMAND...: shows a command and runs it, unless it has been run to its end, and says
# where its log is when it fails. What it prints goes to STAMP.log, too.
once() {
  local stamp=$1 line
  shift
  line=$(printf '%q ' "$@")
  if [[ -f $stamp.done && $(<"$stamp.done") == "$line" ]]; then
    say "done before: ${stamp##*/} ($stamp.log)"
    return
  fi
  mkdir -p "${stamp%/*}"
  printf '$ %s\n' "$line" | tee -a "$stamp.log"
  follow "$@" > >(tee -a "$stamp.log") 2>&1 ||
    die "this failed: ${stamp##*/}; its log is $stamp.log. The same command goes on from there."
  if [[ ${NODE_RANK:-0} == 0 ]]; then
    printf '%s\n' "$line" >"$stamp.done.part"
    mv "$stamp.done.part" "$stamp.done"
  fi
}

is_newer() { [[ -f $1 && -f $2 && $1 -nt $2 ]]; }

# on_gpus STAMP fairseq-train ...: once, on all GPUs and machines, which share the batches of one.
on_gpus() {
  local stamp=$1 words command
  shift
  words=$(python -m scripts.ranks "$@") || exit 2
  mapfile -t command <<<"$words"
  once "$stamp" "${command[@]}" "${train_more[@]}"
}

# average FOLDER: the last epochs of a training, where AVERAGE asks for it.
average() {
  local files=() epoch
  [[ $best == averaged.pt && ${NODE_RANK:-0} == 0 ]] || return 0
  for epoch in $(find "$1" -maxdepth 1 -name 'checkpoint[0-9]*.pt' -printf '%f\n' |
    tr -dc '0-9\n' | sort -n | tail -n "$AVERAGE"); do
    files+=("$1/checkpoint$epoch.pt")
  done
  ((${#files[@]})) || die "$1 has no checkpoint of a whole epoch to average; train longer."
  once "$1/average" fairseq-prune average "${files[@]}" --output "$1/averaged.pt" --force
}

# The steps. Each takes the command that does it, unless another step is asked for.

train() { # fairseq-train ...
  wanted train || return 0
  [[ -d $bin ]] || die "there are no data in $bin; run the step prepare first."
  on_gpus "$dense/train" "$@"
  average "$dense"
  say "dense model: $dense/$best"
}

prune() { # fairseq-prune apply ...: a model that another command pruned is not replaced
  local stamp=$pruned/prune
  wanted prune || return 0
  [[ -f $dense/$best ]] || die "there is no dense model $dense/$best; run the step train first."
  is_newer "$dense/$best" "$pruned/pruned.pt" &&
    die "$dense/$best is newer than $pruned/pruned.pt; choose another RUN, or remove that folder."
  set -- "$@" "${look[@]}" "${prune_more[@]}"
  if [[ -f $stamp.done && $(<"$stamp.done") != "$(printf '%q ' "$@")" ]]; then
    die "$pruned is of another command ($stamp.log); choose another RUN, or remove that folder."
  fi
  once "$stamp" "$@"
  say "pruned model: $pruned/pruned.pt"
}

retrain() { # fairseq-train ...
  wanted retrain || return 0
  [[ -f $pruned/pruned.pt ]] ||
    die "there is no pruned model $pruned/pruned.pt; run the step prune first."
  is_newer "$pruned/pruned.pt" "$pruned/checkpoint_last.pt" &&
    die "$pruned was retrained from another pruned model; remove its checkpoint_*.pt to begin anew."
  on_gpus "$pruned/retrain" "$@"
  average "$pruned"
  say "retrained model: $pruned/$best"
}

generate() { # fairseq-generate ...: again when the model is another
  wanted generate || return 0
  [[ -f $pruned/$best ]] || die "there is no retrained model $pruned/$best; run the step retrain first."
  if is_newer "$pruned/$best" "$pruned/generate.done"; then rm "$pruned/generate.done"; fi
  once "$pruned/generate" "$@" "${generate_more[@]}"
  say "$(tail -n 1 "$pruned/generate-test.txt") ($pruned/generate-test.txt)"
}

evaluate() { # fairseq-prune evaluate ...: every model there is; what --output has is not done again
  local files=() stages='' stage
  wanted evaluate || return 0
  for stage in "dense:$dense/$best" "pruned:$pruned/pruned.pt" "retrained:$pruned/$best"; do
    if [[ -f ${stage#*:} ]]; then stages+=${stages:+,}${stage%%:*} files+=("${stage#*:}"); fi
  done
  ((${#files[@]})) || die "there is no model in $base yet; run the step train first."
  follow "$@" "${files[@]}" --tag "model=$model" --tag "seed=$seed" --tag "stage=$stages" \
    "${evaluate_more[@]}"
  say "all scores are in $out"
}

# For prepare.sh.

# hold DIR: has it alone until this script and what it started are over.
hold() {
  mkdir -p "$1/.preparing"
  exec {lock}>>"$1/.preparing/.lock"
  flock --nonblock "$lock" && return
  say "another run, or what one left, is at work in $1: waiting"
  flock "$lock" || die "$1 cannot be locked; give a folder on a disk that has file locks."
}

# binarise TEXT BIN fairseq-preprocess ...: fills BIN, unless this command has made it of this text.
binarise() {
  local from=$1 to=$2 made log=$data/preprocess.log
  shift 2
  made=$(<"$from/made-from.txt")" $(printf '%q ' "$@")"
  made=${made//"$data"/DIR}
  if [[ ! -f $to/made-from.txt || $(<"$to/made-from.txt") != "$made" ]]; then
    rm -rf "$to" "$to.part"
    follow "$@" --destdir "$to.part" >"$log" 2>&1 ||
      die "fairseq-preprocess failed; $log ends: $(tail -n 1 "$log")"
    printf '%s\n' "$made" >"$to.part/made-from.txt"
    mv "$to.part" "$to"
  fi
  say "ready for fairseq-train: $to"
}
