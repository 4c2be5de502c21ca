#!/usr/bin/env bash
# Makes the environment that everything in this repository runs in, once; after that it costs
# a fraction of a second.
#
#   bash scripts/setup_env.sh
#
# VENV    where the environment goes (default: .venv in the repository)
# PYTHON  the interpreter it is made from (default: python3, or the first of 3.11 3.12 3.13 3.10)
#
# pip's own configuration decides where packages come from. The versions are in constraints.txt.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${VENV:-$root/.venv}
case $venv in /*) ;; *) venv=$PWD/$venv ;; esac
stamp=$venv/.fairseq_prune_ready    # written last: what is inside is complete
started=$venv/.fairseq_prune_setup  # there from the first step to the last
log=$venv.log
tested="3.11 3.12 3.13 3.10"
torch_cpu_builds=https://download.pytorch.org/whl/cpu

running=
trap 'if [ -n "$running" ]; then kill -- "-$running" 2>/dev/null || true; fi' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

die() {
    printf 'setup_env: %s\n' "$*" >&2
    exit 1
}

# What the environment was made from: another answer means that it has to be made again.
fingerprint() {
    {
        cat "$root/setup.py" "$root/fairseq_prune/compat/startup.py" \
            "$root/scripts/setup_env.sh" "$root/scripts/constraints.txt"
        printf '%s\n' "$root" "$venv" "${PYTHON:-}" "$(has_gpu && echo gpu || echo cpu)"
        "$1" -c 'import sys; print(sys.version)'
    } | cksum
}

has_gpu() {
    [ -e /proc/driver/nvidia/version ] || [ -e /dev/nvidia0 ] || [ -e /dev/dxg ]
}

is_tested() {
    local minor
    minor=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || return 1
    case " $tested " in *" $minor "*) return 0 ;; *) return 1 ;; esac
}

choose_python() {
    if [ -n "${PYTHON:-}" ]; then
        command -v "$PYTHON" || die "PYTHON=$PYTHON is not a program that can be run."
        return
    fi
    if command -v python3 >/dev/null && is_tested python3; then
        command -v python3
        return
    fi
    local minor
    for minor in $tested; do
        if is_tested "python$minor"; then
            command -v "python$minor"
            return
        fi
    done
    command -v python3 || die "no Python found; install Python 3.11, or name one with PYTHON=/path/to/python."
}

check_machine() {
    local python=$1
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
        || die "$python is $("$python" --version 2>&1), but 3.10 or later is needed; name another with PYTHON=/path/to/python."
    is_tested "$python" \
        || printf 'setup_env: note: only Python 3.10 to 3.13 were tested, this is %s\n' "$("$python" --version)"
    "$python" -c 'import ensurepip, venv' 2>/dev/null \
        || die "$python has no venv module; install it (Debian and Ubuntu: apt-get install python3-venv)."
    command -v g++ >/dev/null \
        || die "there is no g++, which fairseq is built with; install it (Debian and Ubuntu: apt-get install g++)."
    "$python" -c 'import os, sys, sysconfig as s; sys.exit(not os.path.exists(s.get_path("include") + "/Python.h"))' \
        || die "$python has no header files (Python.h); install them (Debian and Ubuntu: apt-get install python3-dev)."
}

# step LABEL COMMAND...: the command's output goes to the log; a line every 20 s says it is alive.
step() {
    local label=$1 begin=$SECONDS next=20 pid
    shift
    printf 'setup_env: %s\n' "$label"
    printf '\n== %s\n' "$*" >>"$log"
    set -m # a process group of its own, so that an interrupted set-up leaves no pip behind
    "$@" >>"$log" 2>&1 &
    pid=$!
    set +m
    running=$pid
    while kill -0 "$pid" 2>/dev/null; do
        sleep 0.2
        if ((SECONDS - begin >= next)); then
            printf 'setup_env:   still at it (%d s)\n' "$next"
            next=$((next + 20))
        fi
    done
    running=
    if ! wait "$pid"; then
        tail -n 25 "$log" >&2
        die "this step failed: $label (the whole log: $log)."
    fi
}

# An environment without the stamp is half made if this script began it. One that somebody else
# made is completed in place, if it is of the right Python.
prepare_folder() {
    local python=$1
    if [ -e "$started" ] || [ -e "$stamp" ]; then
        rm -f "$stamp"
        [ -e "$started" ] || same_python "$python" || : >"$started"
        if [ -e "$started" ]; then rm -rf "$venv"; fi
    elif [ -e "$venv/pyvenv.cfg" ]; then
        same_python "$python" || die "$venv is of another Python than $python; remove it or choose another folder with VENV=/path."
    elif [ -e "$venv" ] && [ -n "$(ls -A "$venv")" ]; then
        die "$venv is in the way, a folder that is not a Python environment; choose another with VENV=/path."
    fi
}

same_python() {
    local version='import sys; print(sys.version)'
    [ "$("$venv/bin/python" -c "$version" 2>/dev/null)" = "$("$1" -c "$version")" ]
}

install_everything() {
    local python=$1 constraints=$root/scripts/constraints.txt options=()
    prepare_folder "$python"
    mkdir -p "$venv"
    : >"$started"
    : >"$log"
    if has_gpu; then
        # whatever CUDA build of torch is there, or pip finds, stays
        constraints=$venv/constraints.txt
        grep -v '^torch==' "$root/scripts/constraints.txt" >"$constraints"
        if "$python" -c 'import torch; assert torch.version.cuda' 2>/dev/null; then
            options=(--system-site-packages)
        fi
    fi
    if ! [ -x "$venv/bin/pip" ]; then
        step "making $venv with $("$python" --version)" "$python" -m venv "${options[@]+"${options[@]}"}" "$venv"
    fi
    local pip=("$venv/bin/python" -m pip install --quiet --disable-pip-version-check)
    # omegaconf 2.0.6, which fairseq needs, has metadata that pip 24.1 and later refuse
    step "pip before 24.1" "${pip[@]}" "pip<24.1"
    step "torch (the longest step)" install_torch "$constraints" "${pip[@]}"
    step "fairseq 0.12.2, built by g++" "${pip[@]}" -c "$constraints" torch "fairseq==0.12.2"
    step "fairseq_prune and its tools" "${pip[@]}" -c "$constraints" --use-pep517 \
        -e "${root}[figures,test]"
    step "first start" "$venv/bin/fairseq-train" --help
    fingerprint "$python" >"$stamp.tmp"
    mv "$stamp.tmp" "$stamp"
    rm -f "$started"
}

# install_torch CONSTRAINTS PIP...: without a GPU, the build without CUDA (0.2 GB, not 5) where pip's
# own sources have it, or PyTorch's list of builds can be reached.
install_torch() {
    local constraints=$1 pinned
    shift
    pinned=$(grep '^torch==' "$constraints" || true)
    if [ "$(uname -s)" = Linux ] && [ -n "$pinned" ]; then
        "$@" "$pinned+cpu" && return
        "$@" --no-deps --timeout 15 --retries 0 --index-url "$torch_cpu_builds" "$pinned+cpu" && return
    fi
    "$@" -c "$constraints" "torch>=2.6"
}

is_ready() {
    [ -f "$stamp" ] && ! [ -e "$started" ] && [ "$(cat "$stamp")" = "$(fingerprint "$1")" ]
}

main() {
    local python
    python=$(choose_python)
    if ! is_ready "$python"; then
        check_machine "$python"
        mkdir -p "$(dirname "$venv")"
        # two scripts may begin at once: the second waits, then finds everything done
        if command -v flock >/dev/null; then
            exec 9>"$venv.lock"
            flock --nonblock 9 || {
                printf 'setup_env: another set-up of %s is running, waiting for it\n' "$venv"
                flock 9
            }
        fi
        is_ready "$python" || install_everything "$python"
    fi
    printf 'setup_env: ready: %s\n' "$venv/bin"
}

main
