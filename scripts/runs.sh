# shellcheck shell=bash
# Trainings and evaluations as jobs that are done once; sourced by methods_table.sh and front.sh.
# (A grid of schemes, sparsities and seeds needs no script: fairseq-prune study.)
#
#   open_run             the environment, the data, the settings below, and the lock
#   train_job, evaluate_job, stamped_job, flags_of   see there
#
# A step that is finished is skipped, one that was cut goes on; the logs lie beside the models.
#
# DATA        folder made by fairseq-preprocess          REFERENCE  raw target text of the test set
# OUT         where everything goes
# PERCENTS    percentages removed (default: 40 60 80 90)
# JOBS        processes at a time (default: one a core)  BEAM       default 5
# DEVICE      cpu or gpu (default: gpu if there is one)  SEED       default 1
# MAX_LEN     longest translation: A * source + B tokens (default: "1.2 10"; models that collapsed
#             would else ramble on for 200)
# PROGRAMS    folder with fairseq's programs (default: .venv/bin, set up first)
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/jobs.sh
. "$root/scripts/jobs.sh"

die() {
  printf '%s: %s\n' "$(basename "$0" .sh)" "$*" >&2
  exit 2
}

settings() {
  : "${DATA:?DATA names no folder made by fairseq-preprocess}"
  : "${REFERENCE:?REFERENCE names no text file with the target side of the test set}"
  : "${OUT:?OUT names no folder for the results}"
  [[ -d $DATA ]] || die "DATA=$DATA is not a folder; give the one that fairseq-preprocess made."
  [[ -f $REFERENCE ]] || die "REFERENCE=$REFERENCE is not a file; give the raw target text."
  mkdir -p "$OUT"
  out=$(cd "$OUT" && pwd) data=$(cd "$DATA" && pwd)
  reference=$(cd "$(dirname "$REFERENCE")" && pwd)/$(basename "$REFERENCE")
  percents=${PERCENTS:-40 60 80 90}
  local word
  for word in $percents; do
    [[ $word =~ ^[1-9][0-9]?$ ]] || die "$word is no percentage from 1 to 99."
  done
  max_len=${MAX_LEN:-1.2 10}
  [[ $max_len =~ ^[0-9.]+\ [0-9]+$ ]] || die "MAX_LEN=$max_len must be two numbers, as in \"1.2 10\"."
  # shellcheck disable=SC2034 # read by the script that sources this one
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
  # shellcheck disable=SC2154 # the script that sources this one sets config
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
