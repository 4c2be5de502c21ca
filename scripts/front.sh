#!/usr/bin/env bash
# Quality for speed: a Transformer pruned by weight and by unit, in fairseq and in CTranslate2.
#
#   bash scripts/front.sh [CONFIG.yaml]
#
# OUT/MODEL/ gets
#   dense/            trained without pruning
#   weights/          80% of the weights pruned, class-blind, retrained
#   ffn/              3 of 4 feed-forward neurons pruned, retrained; ffn/small.pt without them
#   ffn-heads/        then half of the heads too, retrained again; ffn-heads/small.pt without them
#   results.jsonl     their BLEU in fairseq
#   bench/            what they take, and how fast they translate
#   front/            BLEU against tokens a second: front.png, table.md, front.json
# A step that is finished is skipped, one that was cut goes on.
#
# CONFIG    default configs/train/embedded/transformer.yaml
# OUT       default runs/front
# DATA, REFERENCE  as for scripts/runs.sh (default: the embedded corpus, made here)
# BEAM      default 5      BATCHES  default: 1 8      SENTENCES  of the test set (default 100)
# ROUNDS    of the speed measurement (default 5)
# SEED, JOBS, DEVICE, MAX_LEN, PROGRAMS  as for scripts/runs.sh
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/runs.sh
. "$here/runs.sh"

# pruned_run NAME NEEDS INPUT FLAGS...: retrains INPUT under masks that are chosen at the start.
pruned_run() {
  train_job "$model/$1" retrain "$2" "$3" --user-dir "$root/fairseq_prune" \
    --finetune-from-model "$3" --prune-scheme "${@:4}"
}

shrink_job() { # NAME
  local name=$model/$1 last=$out/$model/$1/checkpoint_best.pt stamp=$out/$model/$1/small.done text
  text=$(portable fairseq-prune shrink "$last")
  if is_stamped "$stamp" "$text" "$last" "$out/$name/small.pt"; then
    job_done "$name/small" 5
  else
    stamped_job "$name/small" 5 "$name" "$out/$name/small.log" "$stamp" "$text" \
      fairseq-prune shrink "$last" --output "$out/$name/small.pt" --force
  fi
}

plan_front() {
  local model dense ffn
  model=$(basename "$config" .yaml)
  dense=$out/$model/dense/checkpoint_best.pt ffn=$out/$model/ffn/checkpoint_best.pt
  train_job "$model/dense" dense "" ""
  pruned_run weights "$model/dense" "$dense" class-blind --prune-sparsity 0.8
  pruned_run ffn "$model/dense" "$dense" class-uniform --prune-structure ffn \
    --prune-sparsity 0.75 --prune-saliency taylor
  pruned_run ffn-heads "$model/ffn" "$ffn" class-uniform --prune-structure heads \
    --prune-sparsity 0.5 --prune-saliency taylor
  shrink_job ffn
  shrink_job ffn-heads
  evaluate_job "$model" all "dense:dense/checkpoint_best.pt" "weights:weights/checkpoint_best.pt" \
    "ffn/small:ffn/small.pt" "ffn-heads/small:ffn-heads/small.pt"
}

front() {
  OUT=${OUT:-$root/runs/front} BEAM=${BEAM:-5}
  open_run
  local config=${1:-$root/configs/train/embedded/transformer.yaml}
  [[ -f $config ]] || die "$config is not a file."
  plan_front
  run_jobs "$jobs" || exit 1
  local folder
  folder=$out/$(basename "$config" .yaml)
  local models=("$folder/dense/checkpoint_best.pt" "$folder/weights/checkpoint_best.pt"
    "$folder/ffn/small.pt" "$folder/ffn-heads/small.pt")
  local batches
  read -ra batches <<<"${BATCHES:-1 8}"
  # alone: nothing else may run while speed is measured
  fairseq-prune bench "${models[@]}" --data "$data" --beams "$BEAM" --batches "${batches[@]}" \
    --sentences "${SENTENCES:-100}" --rounds "${ROUNDS:-5}" --output "$folder/bench"
  python "$root/scripts/front/front.py" "${models[@]}" --data "$data" --reference "$reference" \
    --results "$folder/results.jsonl" --bench "$folder/bench/bench.json" --beam "$BEAM" \
    --output "$folder/front"
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then front "$@"; fi
