#!/usr/bin/env bash
# Every method on one corpus: BLEU after pruning and after retraining, and what scoring costs.
#
#   bash scripts/methods_table.sh [CONFIG.yaml...]
#
# For each model, seed, method (configs/prune/methods.txt) and sparsity, OUT/MODEL-SEED/ gets
#   dense/                              trained without pruning
#   METHOD-PERCENT/pruned.pt            pruned, not retrained
#   METHOD-PERCENT/trained/             pruned and trained further, or trained sparse from the start
#   results.jsonl, hypotheses/          all of them decoded and scored
# and OUT/table.md the table: means over seeds, and how far they lie apart. A step that is finished
# is skipped, one that was cut goes on; the table is made of what there is.
#
# CONFIG    default configs/train/embedded/{lstm,transformer}.yaml; others need the sections `brief`
#           and `brief-retrain` too, with a max-update
# OUT       default runs/methods
# DATA, REFERENCE  as for scripts/runs.sh (default: the embedded corpus, made here)
# SEEDS     default: 1 2 3                 PERCENTS  default: 60 80
# METHODS   their names, a comma between them (default: all)
# BEAM      default 1: there are hundreds of models to decode
# JOBS, DEVICE, MAX_LEN, PROGRAMS          as for scripts/runs.sh
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/runs.sh
. "$here/runs.sh"

# The lines of methods.txt that are wanted: NAME|WHEN|FLAGS, without spaces around the bars.
methods() {
  awk -F'|' -v wanted="${METHODS:-}" '
    BEGIN { n = split(wanted, list, /,/) }
    /^#/ || !NF { next }
    {
      for (i = 1; i <= 3; i++) { sub(/^[ \t]+/, "", $i); sub(/[ \t]+$/, "", $i) }
      found = (n == 0)
      for (i = 1; i <= n; i++) found = found || list[i] == $1
      if (found) print $1 "|" $2 "|" $3
    }' "$root/configs/prune/methods.txt"
}

folder_of() { # NAME: as part of a path
  local name=${1//[^[:alnum:]:.-]/-}
  printf '%s\n' "${name//:/of}"
}

# The flags of a method, one a line: of FLAGS, PERCENT and the updates of the run.
filled_in() {
  local text=$1 percent=$2 updates=$3
  text=${text//SPARSITY/0.$percent}
  text=${text//HALF/$((updates / 2))}
  text=${text//LATE/$((updates * 3 / 4))}
  # shellcheck disable=SC2086 # split into words on purpose
  if [[ $text ]]; then printf '%s\n' ${text//DATA/"$data"}; fi
}

updates_of() { # SECTION
  flags_of "$config" "$1" | awk '/^--max-update$/ { getline; print }'
}

pruned_job() { # NAME NEEDS INPUTS COMMAND...: a command that writes OUT/NAME.pt from INPUTS
  local name=$1 text stamp=$out/$1.done
  text=$(portable "${*:4}")
  # shellcheck disable=SC2086 # split into files on purpose
  if is_stamped "$stamp" "$text" $3 "$out/$name.pt"; then
    job_done "$name" 5
  else
    stamped_job "$name" 5 "$2" "$out/$name.log" "$stamp" "$text" "${@:4}" --force
  fi
}

tickets_job() { # POINT PERCENT FLAGS
  local name=$top/$1 training flags
  mapfile -t training < <(flags_of "$config" model brief)
  mapfile -t flags < <(filled_in "$3" "$2" "$(updates_of brief)")
  # done where its journal has all rounds; it is what says so, and what refuses other flags
  if [[ $(wc -l 2>/dev/null <"$out/$name/tickets/tickets.jsonl") == 4 ]]; then
    job_done "$name/trained" 400
  else
    job "$name/trained" 400 "" "$out/$name/log" fairseq-prune tickets \
      --output "$out/$name/tickets" "${flags[@]}" -- "$data" --task translation "${training[@]}" \
      --seed "$SEED" --no-progress-bar --no-epoch-checkpoints "${device[@]}"
  fi
}

# plan_method NAME WHEN FLAGS PERCENT: its jobs; the checkpoints to score go to `scored`.
plan_method() {
  local when=$2 point flags name dense=$out/$top/dense/checkpoint_best.pt
  point=$(folder_of "$1")${4:+-$4}
  name=$top/$point
  mapfile -t flags < <(filled_in "$3" "${4:-}" "$(updates_of brief-retrain)")
  case $when in
    after)
      pruned_job "$name/pruned" "$top/dense" "$dense" fairseq-prune apply "$dense" \
        --output "$out/$name/pruned.pt" "${flags[@]}"
      ;;
    control)
      local model=$top/magnitude-$4
      pruned_job "$name/pruned" "$model/pruned" "$dense $out/$model/pruned.pt" fairseq-prune control \
        "$out/$model/pruned.pt" --weights "$dense" --output "$out/$name/pruned.pt" "${flags[@]}"
      ;;
    during)
      train_job "$name/trained" brief-retrain "$top/dense" "$dense" \
        --user-dir "$root/fairseq_prune" "${flags[@]}" --finetune-from-model "$dense"
      ;;
    before)
      mapfile -t flags < <(filled_in "$3" "${4:-}" "$(updates_of brief)")
      train_job "$name/trained" brief "" "" --user-dir "$root/fairseq_prune" "${flags[@]}"
      ;;
    mask)
      train_job "$name/trained" brief "$top/magnitude-$4/pruned" "" \
        --user-dir "$root/fairseq_prune" --prune-mask-from "$out/$top/magnitude-$4/pruned.pt"
      ;;
    tickets) tickets_job "$point" "$4" "$3" ;;
    *) die "configs/prune/methods.txt: $1 is to be made $when, which is unknown." ;;
  esac
  if [[ $when == after || $when == control ]]; then
    train_job "$name/trained" brief-retrain "$name/pruned" "$out/$name/pruned.pt" \
      --user-dir "$root/fairseq_prune" --finetune-from-model "$out/$name/pruned.pt"
    scored+=("$point/pruned:$point/pruned.pt")
  fi
  local last=$point/trained
  if [[ $when == tickets ]]; then last=$point/tickets/round-3; fi
  scored+=("$point/trained:$last/checkpoint_last.pt")
}

plan_seed() { # of $config and $SEED
  local top name when flags percent scored=("dense:dense/checkpoint_best.pt")
  top=$(basename "$config" .yaml)-$SEED
  train_job "$top/dense" dense "" ""
  while IFS='|' read -r name when flags; do
    if [[ $flags == *SPARSITY* || $when == control || $when == mask ]]; then
      for percent in $percents; do plan_method "$name" "$when" "$flags" "$percent"; done
    else
      plan_method "$name" "$when" "$flags" ""
    fi
  done < <(methods)
  evaluate_job "$top" all "${scored[@]}"
}

scoring_job() { # what scoring costs, on models of the bench's own
  if [[ -f $out/scoring.json ]]; then
    job_done scoring 100
  else
    # shellcheck disable=SC2016 # the inner shell expands it
    job scoring 100 "" "$out/scoring.log" bash -o pipefail -c \
      'python "$1/scripts/bench/scoring.py" --json | tee /dev/stderr | tail -n 1 >"$2.tmp" &&
      mv "$2.tmp" "$2"' scoring "$root" "$out/scoring.json"
  fi
}

table() {
  OUT=${OUT:-$root/runs/methods} PERCENTS=${PERCENTS:-60 80} BEAM=${BEAM:-1}
  open_run
  [[ $(methods) ]] || die "METHODS=${METHODS:-} names no method of configs/prune/methods.txt."
  local config SEED code=0
  (($#)) || set -- "$root"/configs/train/embedded/{lstm,transformer}.yaml
  for config in "$@"; do
    [[ -f $config ]] || die "$config is not a file."
    [[ $(updates_of brief) && $(updates_of brief-retrain) ]] ||
      die "$config has no max-update in its sections brief and brief-retrain."
  done
  scoring_job
  for SEED in ${SEEDS:-1 2 3}; do
    for config in "$@"; do plan_seed; done
  done
  run_jobs "$jobs" || code=1
  python "$root/scripts/methods/table.py" "$out" --methods "$root/configs/prune/methods.txt" \
    --configs "$@" --percents "$percents" --scoring "$out/scoring.json" || code=1
  exit $code
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then table "$@"; fi
