#!/usr/bin/env bash
# AG News: accuracy against sparsity and FLOP sparsity, for weights removed before and after training.
#
#   TRAIN=train.csv TEST=test.csv bash scripts/ag_news/results.sh
#
# For each seed, saliency and compression 10^c (sparsity 1 - 10^-c), class-blind, OUT/SEED/ gets
#   dense/                       trained without pruning (section dense of the configuration)
#   before-SALIENCY-C/           pruned before training, then trained as the dense model
#   after-SALIENCY-C/pruned.pt   the dense model pruned, not retrained
#   after-SALIENCY-C/retrained/  and retrained (section retrain)
#   accuracy.jsonl               all of them run over the test set
# and OUT/ gets table.md and figure.png, of what there is. A step that is finished is skipped, one
# that was cut goes on.
#
# TRAIN, TEST   AG News's files, as scripts/ag_news/binarise.py takes them; or
# DATA          the folder that it made
# OUT           default runs/ag_news
# MIN_COUNT     rarer words of TRAIN become <unk> (default 1: none)
# LEVELS        the c of the compressions (default: 0.1 0.5 1 2)
# BEFORE        saliencies, before training (default: random snip grasp)
# AFTER         and after it (default: magnitude random)
# SCORE_BATCHES batches that snip and grasp score on (default 100)
# SEEDS         default: 1 2 3
# JOBS, DEVICE, PROGRAMS        as for scripts/runs.sh
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/runs.sh
. "$here/../runs.sh"

config=$root/configs/train/ag_news/embedding_bag.yaml

# prune_flags SALIENCY C: one a line.
prune_flags() {
  local sparsity
  sparsity=$(awk -v c="$2" 'BEGIN { printf "%.4f", 1 - 10 ^ -c }')
  printf '%s\n' --prune-scheme class-blind --prune-saliency "$1" --prune-sparsity "$sparsity" \
    --prune-seed "$SEED"
  case $1 in snip | grasp) printf '%s\n' --prune-score-batches "${SCORE_BATCHES:-100}" ;; esac
}

# classify_job STAGE CHECKPOINTS...: paths below OUT/SEED, each after its job's name and a colon.
classify_job() {
  local needs="" files=() entry name=$SEED/classify-$1 folder=$out/$SEED
  for entry in "${@:2}"; do
    needs+=" ?$SEED/${entry%%:*}"
    files+=("$folder/${entry#*:}")
  done
  # what is in the results already is not run again; what failed is not there
  # shellcheck disable=SC2016 # the inner shell expands it
  job "$name" $((20 * ${#files[@]})) "$needs" "$folder/classify-$1.log" \
    bash -c 'n=$1; shift; files=()
      for file in "${@:1:n}"; do if [[ -f $file ]]; then files+=("$file"); fi; done
      ((${#files[@]})) || exit 0
      fairseq-prune classify "${files[@]}" "${@:n+1}"' \
    classify "${#files[@]}" "${files[@]}" --data "$data" --tag "stage=$1" --tag "seed=$SEED" \
    --output "$folder/accuracy.jsonl" "${device[@]}"
}

plan_after() { # SALIENCY C: adds to `pruned` and `retrained`
  local point=after-$1-$2 dense=$out/$SEED/dense/checkpoint_best.pt flags score=() text
  mapfile -t flags < <(prune_flags "$1" "$2")
  case $1 in snip | grasp) score=(--data "$data") ;; esac
  local file=$out/$SEED/$point/pruned.pt stamp=$out/$SEED/$point/pruned.done
  text=$(portable fairseq-prune apply "$dense" --output "$file" "${flags[@]}" "${score[@]}")
  if is_stamped "$stamp" "$text" "$dense" "$file"; then
    job_done "$SEED/$point" 20
  else
    stamped_job "$SEED/$point" 20 "$SEED/dense" "$out/$SEED/$point/apply.log" "$stamp" "$text" \
      fairseq-prune apply "$dense" --output "$file" --force "${flags[@]}" "${score[@]}"
  fi
  train_job "$SEED/$point/retrained" retrain "$SEED/$point" "$file" \
    --user-dir "$root/fairseq_prune" --finetune-from-model "$file"
  pruned+=("$point:$point/pruned.pt")
  retrained+=("$point/retrained:$point/retrained/checkpoint_best.pt")
}

plan_seed() { # of $SEED
  local level saliency flags before=() pruned=() retrained=()
  train_job "$SEED/dense" dense "" "" --user-dir "$root/fairseq_prune"
  for level in ${LEVELS-0.1 0.5 1 2}; do
    for saliency in ${BEFORE-random snip grasp}; do
      mapfile -t flags < <(prune_flags "$saliency" "$level")
      train_job "$SEED/before-$saliency-$level" dense "" "" --user-dir "$root/fairseq_prune" \
        "${flags[@]}"
      before+=("before-$saliency-$level:before-$saliency-$level/checkpoint_best.pt")
    done
    for saliency in ${AFTER-magnitude random}; do plan_after "$saliency" "$level"; done
  done
  classify_job dense dense:dense/checkpoint_best.pt
  classify_job "pruned before training" "${before[@]}"
  classify_job pruned "${pruned[@]}"
  classify_job "pruned + retrained" "${retrained[@]}"
}

open_here() {
  if [[ ! ${PROGRAMS:-} ]]; then bash "$root/scripts/setup_env.sh"; fi
  PROGRAMS=${PROGRAMS:-${VENV:-$root/.venv}/bin} OUT=${OUT:-$root/runs/ag_news}
  export PATH=$PROGRAMS:$PATH OMP_NUM_THREADS=1
  mkdir -p "$OUT"
  if [[ ! ${DATA:-} ]]; then
    [[ ${TRAIN:-} && ${TEST:-} ]] || die "give TRAIN and TEST, the files of AG News, or DATA."
    python "$here/binarise.py" --train "$TRAIN" --test "$TEST" --output "$OUT/data" \
      --min-count "${MIN_COUNT:-1}"
    DATA=$OUT/data
  fi
  [[ -f $DATA/input0/dict.txt ]] || die "DATA=$DATA has no input0/dict.txt; see binarise.py."
  REFERENCE=$DATA/label/dict.txt settings # whose text nothing is scored against here
}

open_here
for SEED in ${SEEDS:-1 2 3}; do
  [[ $SEED =~ ^[0-9]+$ ]] || die "SEEDS: $SEED is no number."
  plan_seed
done
code=0
run_jobs "$jobs" || code=1
python "$here/table.py" "$out" || code=1
exit $code
