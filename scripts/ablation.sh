#!/usr/bin/env bash
# Trains, prunes, retrains and evaluates models, as See, Luong & Manning (2016) did.
#
#   DATA=BIN REFERENCE=test.en OUT=DIR bash scripts/ablation.sh CONFIG.yaml...
#
# For each configuration (its base name is the model's) DIR/MODEL gets
#   dense/                     trained without pruning
#   pruned/SCHEME-PERCENT.pt   the dense model pruned, not retrained
#   retrained/SCHEME-PERCENT/  pruned, then trained further
#   scratch/SCHEME-PERCENT/    a fresh model trained under the mask of pruned/SCHEME-PERCENT.pt
#   results.jsonl, hypotheses/ every one of them decoded and scored
# and DIR/report tables, figures and a page of all models in DIR. A step that is finished
# is skipped, one that was cut goes on; the logs lie beside the models.
#
# DATA        folder made by fairseq-preprocess          REFERENCE  raw target text of the test set
# OUT         where everything goes
# SCHEMES     pruned without retraining (default: class-blind class-uniform class-distribution
#             random; random removes weights of all classes at random)
# PERCENTS    at these percentages removed (default: 40 60 80 90)
# RETRAIN, RETRAIN_PERCENTS, SCRATCH, SCRATCH_PERCENTS  the same for the models that are retrained
#             (default: as above) and sparse from the beginning (default: class-blind, as above);
#             none stands for no model at all
# JOBS        processes at a time (default: one a core)  BEAM       default 5
# DEVICE      cpu or gpu (default: gpu if there is one)  SEED       default 1
# MAX_LEN     longest translation: A * source + B tokens (default: "1.2 10"; models that collapsed
#             would else ramble on for 200)
# TITLE, MADE_BY  of the report: its heading, and the command that it shows beside the figures
# PROGRAMS    folder with fairseq's programs (default: .venv/bin, set up first)
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/jobs.sh
. "$root/scripts/jobs.sh"

die() {
  printf 'ablation: %s\n' "$*" >&2
  exit 2
}

settings() {
  : "${DATA:?ablation: DATA names no folder made by fairseq-preprocess}"
  : "${REFERENCE:?ablation: REFERENCE names no text file with the target side of the test set}"
  : "${OUT:?ablation: OUT names no folder for the results}"
  [[ -d $DATA ]] || die "DATA=$DATA is not a folder; give the one that fairseq-preprocess made."
  [[ -f $REFERENCE ]] || die "REFERENCE=$REFERENCE is not a file; give the raw target text."
  mkdir -p "$OUT"
  out=$(cd "$OUT" && pwd) data=$(cd "$DATA" && pwd)
  reference=$(cd "$(dirname "$REFERENCE")" && pwd)/$(basename "$REFERENCE")
  schemes=${SCHEMES:-class-blind class-uniform class-distribution random}
  percents=${PERCENTS:-40 60 80 90}
  retrain=${RETRAIN:-$schemes} retrain_percents=${RETRAIN_PERCENTS:-$percents}
  scratch=${SCRATCH:-class-blind} scratch_percents=${SCRATCH_PERCENTS:-$percents}
  local word
  for word in $percents $retrain_percents $scratch_percents; do
    [[ $word =~ ^[1-9][0-9]?$ ]] || die "$word is no percentage from 1 to 99."
  done
  max_len=${MAX_LEN:-1.2 10}
  [[ $max_len =~ ^[0-9.]+\ [0-9]+$ ]] || die "MAX_LEN=$max_len must be two numbers, as in \"1.2 10\"."
  device=() jobs=${JOBS:-$(env -u OMP_NUM_THREADS nproc)}
  case ${DEVICE:-$(nvidia-smi -L >/dev/null 2>&1 && echo gpu || echo cpu)} in
    gpu) ;;
    cpu) device=(--cpu) ;;
    *) die "DEVICE=$DEVICE is neither cpu nor gpu." ;;
  esac
}

# One flag or value a line from the named sections of a configuration; DATA/ in a value is the data.
flags_of() {
  awk -v wanted=" ${*:2} " '
    { sub(/(^|[ \t])#.*/, ""); sub(/[ \t]+$/, "") }
    /^[^ \t].*:$/ { section = substr($0, 1, length($0) - 1) }
    /^[ \t]/ && index(wanted, " " section " ") {
      key = $1; sub(/:$/, "", key)
      value = $0; sub(/^[ \t]*[^ \t]+[ \t]*/, "", value)
      print "--" key
      if (value != "true") print value
    }' "$1" | sed "s#^DATA/#${data:-DATA}/#"
}

in_words() { # LIST SCHEME: whether the list has it
  [[ " $1 " == *" $2 "* ]]
}

prune_flags() { # SCHEME PERCENT
  local scheme=$1 saliency=magnitude
  if [[ $scheme == random ]]; then scheme=class-blind saliency=random; fi
  printf '%s\n' --prune-scheme "$scheme" --prune-saliency "$saliency" \
    --prune-sparsity "$(printf '0.%02d' "$2")"
}

# A command as its stamp records it: without where things lie on this machine.
portable() {
  local text="$*"
  text=${text//"$out"/OUT}
  text=${text//"$data"/DATA}
  printf '%s\n' "${text//"$root"/ROOT}"
}

# is_stamped STAMP TEXT FILES...: whether the stamp says TEXT and is no older than the files.
is_stamped() {
  local file
  [[ -f $1 && $(cat "$1") == "$2" ]] || return 1
  for file in "${@:3}"; do [[ -f $file && ! $file -nt $1 ]] || return 1; done
}

# stamped_job NAME WORK NEEDS LOG STAMP TEXT COMMAND...: a job that, once done, leaves TEXT in STAMP.
stamped_job() {
  # shellcheck disable=SC2016 # the inner shell expands it
  job "$1" "$2" "$3" "$4" bash -c \
    '"${@:3}" && printf "%s\n" "$1" >"$2.tmp" && mv "$2.tmp" "$2"' stamped "$6" "$5" "${@:7}"
}

# train_job NAME SECTION NEEDS INPUT FLAGS...: a run of fairseq-train into OUT/NAME, done when its
# stamp is there; INPUT is the file that it starts from, or empty.
train_job() {
  local name=$1 section=$2 needs=$3 input=$4 folder=$out/$1 flags work text
  mapfile -t flags < <(flags_of "$config" model "$section")
  work=$(flags_of "$config" "$section" | awk '/^--max-epoch$/ { getline; print 100 * $1 }')
  [[ $work ]] || die "$config has no max-epoch in its section $section."
  local command=(fairseq-train "$data" --task translation "${flags[@]}" --seed "${SEED:-1}"
    --no-progress-bar --no-epoch-checkpoints --save-dir "$folder" "${device[@]}" "${@:5}")
  text=$(portable "${command[@]}")
  local stale="$folder was made with other flags or from another model; remove it or choose another OUT."
  if [[ -f $folder/done ]]; then
    is_stamped "$folder/done" "$text" ${input:+"$input"} || die "$stale"
    job_done "$name" "$work"
  else
    # fairseq would go on with a cut run whatever the flags
    [[ ! -f $folder/command || $(cat "$folder/command") == "$text" ]] || die "$stale"
    mkdir -p "$folder"
    printf '%s\n' "$text" >"$folder/command"
    stamped_job "$name" "$work" "$needs" "$folder/train.log" "$folder/done" "$text" "${command[@]}"
  fi
}

apply_job() { # MODEL SCHEME PERCENT
  local name=$1/pruned/$2-$3 dense=$out/$1/dense/checkpoint_best.pt flags
  mapfile -t flags < <(prune_flags "$2" "$3")
  if [[ -f $out/$name.pt && $out/$name.pt -nt $dense ]]; then
    job_done "$name" 5
  else
    job "$name" 5 "$1/dense" "$out/$name.log" fairseq-prune apply "$dense" \
      --output "$out/$name.pt" --force "${flags[@]}"
  fi
}

# evaluate_job MODEL STAGE CHECKPOINTS...: paths below OUT/MODEL, each with its job's name before a
# colon. Done when its stamp is there and younger than the checkpoints.
evaluate_job() {
  local model=$1 stage=$2 name=$1/evaluate-$2 folder=$out/$1 needs="" files=() entry text work
  for entry in "${@:3}"; do
    needs+=" ?$model/${entry%%:*}"
    files+=("$folder/${entry#*:}")
  done
  ((${#files[@]})) || return 0
  local flags=(--data "$data" --gen-subset test --beam "${BEAM:-5}" --lenpen 1
    --max-len-a "${max_len% *}" --max-len-b "${max_len#* }" --remove-bpe sentencepiece
    --reference "$reference" --tag "model=$model" --tag "stage=$stage"
    --output "$folder/results.jsonl" "${device[@]}")
  text=$(portable fairseq-prune evaluate "${files[@]}" "${flags[@]}")
  work=$((20 * ${#files[@]}))
  if is_stamped "$folder/evaluate-$stage.done" "$text" "${files[@]}" "$reference"; then
    job_done "$name" "$work"
    return
  fi
  # what a failed run did not leave cannot be scored
  # shellcheck disable=SC2016 # the inner shell expands it
  job "$name" "$work" "$needs" "$folder/evaluate-$stage.log" \
    bash -c 'text=$1 stamp=$2 n=$3; shift 3; files=()
      for file in "${@:1:n}"; do if [[ -f $file ]]; then files+=("$file"); fi; done
      ((${#files[@]})) || exit 0
      fairseq-prune evaluate "${files[@]}" "${@:n+1}" || exit
      if ((${#files[@]} == n)); then printf "%s\n" "$text" >"$stamp"; fi' \
    evaluate "$text" "$folder/evaluate-$stage.done" "${#files[@]}" "${files[@]}" "${flags[@]}"
}

# open_run: the environment, the embedded corpus where no DATA is given, the settings, and the lock.
open_run() {
  if [[ ! ${PROGRAMS:-} ]]; then bash "$root/scripts/setup_env.sh"; fi
  export PROGRAMS=${PROGRAMS:-${VENV:-$root/.venv}/bin} OMP_NUM_THREADS=1
  PATH=$PROGRAMS:$PATH
  if [[ ! ${DATA:-} && ${OUT:-} ]]; then
    bash "$root/scripts/data/prepare_embedded.sh" "$OUT/data"
    DATA=$OUT/data/data-bin REFERENCE=$OUT/data/raw/test.en
  fi
  settings
  if command -v flock >/dev/null; then
    exec 9>"$out/.lock" # held by the jobs too: a run that was killed may have left some behind
    flock -n 9 || die "another run is at work in $out; wait for it, or choose another OUT."
  fi
  check_data
}

# Models of one folder have to be of the same data, which a new corpus of the same name is not.
check_data() {
  local digest
  digest=$({ cat "$data"/*.bin "$data"/dict.*.txt "$reference" 2>/dev/null || true; } | cksum)
  if [[ -f $out/.data && $(cat "$out/.data") != "$digest" ]]; then
    die "$out holds models of other data than $data; remove it or choose another OUT."
  fi
  printf '%s\n' "$digest" >"$out/.data"
}

plan_model() {
  local model dense scheme percent flags point pruned=() retrained=() from_scratch=()
  model=$(basename "$config" .yaml)
  dense=$out/$model/dense/checkpoint_best.pt
  train_job "$model/dense" dense "" ""
  for percent in $percents; do
    for scheme in $schemes; do
      apply_job "$model" "$scheme" "$percent"
      pruned+=("pruned/$scheme-$percent:pruned/$scheme-$percent.pt")
    done
  done
  evaluate_job "$model" dense "dense:dense/checkpoint_best.pt"
  for percent in $retrain_percents; do
    for scheme in $retrain; do
      [[ $scheme != none ]] || continue
      point=retrained/$scheme-$percent
      mapfile -t flags < <(prune_flags "$scheme" "$percent")
      train_job "$model/$point" retrain "$model/dense" "$dense" --user-dir "$root/fairseq_prune" \
        "${flags[@]}" --finetune-from-model "$dense"
      retrained+=("$point:$point/checkpoint_best.pt")
    done
  done
  evaluate_job "$model" pruned "${pruned[@]}"
  for percent in $scratch_percents; do
    for scheme in $scratch; do
      [[ $scheme != none ]] || continue
      point=$scheme-$percent
      if ! in_words "$schemes" "$scheme" || ! in_words "$percents" "$percent"; then
        apply_job "$model" "$scheme" "$percent"
      fi
      train_job "$model/scratch/$point" dense "$model/pruned/$point" "$dense" \
        --user-dir "$root/fairseq_prune" --prune-mask-from "$out/$model/pruned/$point.pt"
      from_scratch+=("scratch/$point:scratch/$point/checkpoint_best.pt")
    done
  done
  evaluate_job "$model" retrained "${retrained[@]}"
  evaluate_job "$model" scratch "${from_scratch[@]}"
}

main() {
  (($#)) || die "name at least one configuration, for example configs/train/multi30k/lstm.yaml."
  local config
  for config in "$@"; do [[ -f $config ]] || die "$config is not a file."; done
  settings
  if [[ ! ${PROGRAMS:-} ]]; then bash "$root/scripts/setup_env.sh"; fi
  PATH=${PROGRAMS:-${VENV:-$root/.venv}/bin}:$PATH
  export PATH OMP_NUM_THREADS=1
  if command -v flock >/dev/null; then
    exec 9>"$out/.lock" # held by the jobs too: a run that was killed may have left some behind
    flock -n 9 || die "another run is at work in $out; wait for it, or choose another OUT."
  fi
  check_data
  for config in "$@"; do plan_model; done
  local code=0 # a failed run does not keep the others from being reported
  run_jobs "$jobs" || code=1
  fairseq-prune report "$out" --output "$out/report" --title "${TITLE:-Pruning}" \
    ${MADE_BY:+--made-by "$MADE_BY"} || code=1
  exit $code
}

# main ends in an exit: bash reads a script as it goes, and the file may change under a long run
if [[ ${BASH_SOURCE[0]} == "$0" ]]; then main "$@"; fi
