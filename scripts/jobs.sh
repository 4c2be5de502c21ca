# shellcheck shell=bash
# Runs jobs side by side, with progress; sourced by other scripts.
#
#   job NAME WORK NEEDS LOG COMMAND...   adds a job
#   job_done NAME WORK                   adds one that an earlier run has finished
#   run_jobs N                           runs them all, N at a time; fails if one of them failed
#
# WORK is the job's size in hundredths of an epoch, by which the time left is reckoned.
# NEEDS are the names of jobs, separated by spaces, that have to be done before; a name with a
# question mark before it may also have failed.
# A job that fails takes with it only those that need it.

job_names=()
declare -A job_state=() job_work=() job_needs=() job_log=() job_command=() job_pid=() job_begin=()
declare -A job_before=()
jobs_spent=0   # seconds in jobs of this run that have ended
jobs_earned=0  # their work

job() {
  local name=$1
  job_names+=("$name")
  job_state[$name]=waiting
  job_work[$name]=$2
  job_needs[$name]=$3
  job_log[$name]=$4
  job_command[$name]=$(printf '%q ' "${@:5}")
}

job_done() {
  job_names+=("$1")
  job_state[$1]='done'
  job_work[$1]=$2
}

# Sets `verdict` on what NAME needs: ready, waiting or skipped. (A subshell for each of hundreds of
# jobs, several times a second, would take more of the machine than the jobs leave.)
_job_readiness() {
  local need
  verdict=ready
  for need in ${job_needs[$1]}; do
    case ${job_state[${need#\?}]} in
      done) ;;
      failed | skipped) if [[ $need != \?* ]]; then verdict=skipped && return; fi ;;
      *) verdict=waiting ;;
    esac
  done
}

# Work that NAME's log says is done: epochs of fairseq-train, checkpoints of an evaluation.
_job_progress() {
  local text done=0
  text=$(tail -c 60000 "${job_log[$1]}" 2>/dev/null | grep -aoE \
    'epoch [0-9]+: +[0-9]+ / [0-9]+|end of epoch [0-9]+|checkpoint [0-9]+ of [0-9]+' | tail -n 1) ||
    text=
  local number=${text//[!0-9 ]/}
  # shellcheck disable=SC2086 # split into words on purpose
  set -- "$1" $number
  case $text in
    "end of"*) done=$((10#$2 * 100)) ;;
    epoch*) done=$(((10#$2 - 1) * 100 + 100 * $3 / $4)) ;;
    checkpoint*) done=$((job_work[$1] * 10#$2 / $3)) ;;
  esac
  echo $((done > job_work[$1] ? job_work[$1] : done))
}

_job_start() {
  local name=$1
  mkdir -p "$(dirname "${job_log[$name]}")"
  # only fairseq-train goes on where it was cut, and so does its log
  [[ ${job_log[$name]} == */train.log ]] || : >"${job_log[$name]}"
  job_before[$name]=$(_job_progress "$name")
  printf '\n$ %s\n' "${job_command[$name]}" >>"${job_log[$name]}"
  set -m # a process group of its own, so that its children can be stopped with it
  bash -c "${job_command[$name]}" </dev/null >>"${job_log[$name]}" 2>&1 &
  job_pid[$name]=$!
  set +m
  job_begin[$name]=$SECONDS
  job_state[$name]=running
  _jobs_say "started  $name"
}

_job_finish() {
  local name=$1 code=0 took
  wait "${job_pid[$name]}" 2>/dev/null || code=$?
  took=$((SECONDS - job_begin[$name]))
  if ((code == 0)); then
    job_state[$name]='done'
    jobs_spent=$((jobs_spent + took))
    jobs_earned=$((jobs_earned + job_work[$name] - job_before[$name]))
    _jobs_say "finished $name ($(_jobs_time "$took"))"
  else
    job_state[$name]=failed
    _jobs_say "FAILED   $name (exit code $code), see ${job_log[$name]}"
  fi
}

_jobs_count() {
  local name count=0
  for name in "${job_names[@]}"; do [[ ${job_state[$name]} == "$1" ]] && count=$((count + 1)); done
  echo "$count"
}

_jobs_time() {
  if (($1 < 90)); then echo "$1 s"; elif (($1 < 5400)); then echo "$((($1 + 30) / 60)) min"; else
    printf '%d h %02d min\n' $(($1 / 3600)) $(($1 % 3600 / 60))
  fi
}

# Seconds left, from the work still to do and the speed of this run so far; empty if unknown.
_jobs_left() {
  local name parallel=$1 spent=$jobs_spent earned=$jobs_earned left=0 progress
  for name in "${job_names[@]}"; do
    case ${job_state[$name]} in
      waiting) left=$((left + job_work[$name])) ;;
      running)
        progress=$(_job_progress "$name")
        left=$((left + job_work[$name] - progress))
        spent=$((spent + SECONDS - job_begin[$name]))
        earned=$((earned + progress - job_before[$name]))
        ;;
    esac
  done
  if ((earned > 0)); then echo $((left * spent / earned / parallel)); fi
}

_jobs_status() {
  local name running="" left
  for name in "${job_names[@]}"; do
    if [[ ${job_state[$name]} == running ]]; then
      running+="${running:+, }$name $((100 * $(_job_progress "$name") / job_work[$name]))%"
    fi
  done
  left=$(_jobs_left "$1")
  printf '%s of %s done; running: %s%s' "$(_jobs_count 'done')" "${#job_names[@]}" \
    "${running:-nothing}" "${left:+; about $(_jobs_time "$left") left}"
}

_jobs_say() {
  if [[ -t 1 ]]; then printf '\r\033[K'; fi
  printf '%s  %s\n' "$(date +%H:%M:%S)" "$1"
}

_jobs_stop() {
  trap '' INT TERM
  local name pids=()
  for name in "${job_names[@]}"; do
    if [[ ${job_state[$name]} == running ]]; then pids+=("-${job_pid[$name]}"); fi
  done
  if ((${#pids[@]})); then
    kill -TERM -- "${pids[@]}" 2>/dev/null || true
    sleep 1
    kill -KILL -- "${pids[@]}" 2>/dev/null || true
  fi
  _jobs_say "stopped; the same command goes on from here"
  exit 130
}

# Starts what can start; returns 1 when nothing is waiting or running any more.
_jobs_turn() {
  local name parallel=$1 running open=1 verdict
  for name in "${job_names[@]}"; do
    if [[ ${job_state[$name]} == running ]]; then
      if kill -0 "${job_pid[$name]}" 2>/dev/null; then open=0; else _job_finish "$name"; fi
    fi
  done
  running=$(_jobs_count running)
  for name in "${job_names[@]}"; do
    [[ ${job_state[$name]} == waiting ]] || continue
    open=0
    _job_readiness "$name"
    case $verdict in
      ready)
        if ((running < parallel)); then
          _job_start "$name"
          running=$((running + 1))
        fi
        ;;
      skipped) job_state[$name]=skipped ;;
    esac
  done
  return $open
}

_jobs_report() {
  local name bad=0
  for name in "${job_names[@]}"; do
    case ${job_state[$name]} in
      failed)
        bad=1
        printf '\n%s failed. The last lines of %s:\n' "$name" "${job_log[$name]}" >&2
        tail -n 12 "${job_log[$name]}" | sed 's/^/    /' >&2
        ;;
      skipped)
        bad=1
        printf '\n%s was not run: it needs one that failed.\n' "$name" >&2
        ;;
    esac
  done
  return $bad
}

run_jobs() {
  local parallel=$1 said=$SECONDS every=60
  if [[ -t 1 ]]; then every=2; fi
  trap _jobs_stop INT TERM
  _jobs_say "$(_jobs_count 'done') of ${#job_names[@]} steps were done before; $parallel at a time"
  while _jobs_turn "$parallel"; do
    if ((SECONDS - said >= every)); then
      if [[ -t 1 ]]; then
        printf '\r\033[K%.*s' "$((${COLUMNS:-$(tput cols 2>/dev/null || echo 80)} - 1))" \
          "$(_jobs_status "$parallel")"
      else
        _jobs_say "$(_jobs_status "$parallel")"
      fi
      said=$SECONDS
    fi
    sleep 0.3
  done
  trap - INT TERM
  _jobs_report
}
