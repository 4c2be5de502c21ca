#!/usr/bin/env bash
# Makes the embedded German-English corpus ready for fairseq-train.
# Usage: prepare_embedded.sh DIR   (fairseq's programs and python on PATH)
# Leaves DIR/raw (text), DIR/spm.model, DIR/spm (pieces) and DIR/data-bin.
# A finished step is skipped; one that was cut, or whose inputs changed, is done again.
# PAIRS, SEED and VOCAB in the environment change the defaults.
set -euo pipefail
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

if [[ $# -ne 1 ]]; then
  echo "Usage: $0 DIR" >&2
  exit 2
fi
mkdir -p "$1"
directory=$(cd "$1" && pwd)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
pairs=${PAIRS:-20000}
seed=${SEED:-1}
vocabulary=${VOCAB:-1200}

for program in python fairseq-preprocess; do
  if ! command -v "$program" >/dev/null; then
    echo "$0: $program is not on PATH; activate the environment first (. .venv/bin/activate)." >&2
    exit 2
  fi
done

# What the result depends on: settings and the generator itself.
inputs="$pairs $seed $vocabulary $(
  find "$here/embedded" "$here/embedded_corpus.py" "$here/embedded_spm.py" \
    -type f -not -name '*.pyc' -print0 | sort -z | xargs -0 cat | cksum
)"

# done_before STEP: whether the step's stamp fits these inputs.
done_before() {
  [[ -f "$directory/.stamps/$1" && "$(cat "$directory/.stamps/$1")" == "$inputs" ]]
}

# stamp STEP: says that the step is complete.
stamp() {
  mkdir -p "$directory/.stamps"
  printf '%s\n' "$inputs" >"$directory/.stamps/$1.part"
  mv "$directory/.stamps/$1.part" "$directory/.stamps/$1"
}

if ! done_before text; then
  rm -f "$directory"/.stamps/{spm,binary}
  python "$here/embedded_corpus.py" --output "$directory/raw" --pairs "$pairs" --seed "$seed"
  stamp text
fi

if ! done_before spm; then
  rm -f "$directory/.stamps/binary"
  python "$here/embedded_spm.py" --raw "$directory/raw" --output "$directory" \
    --vocabulary "$vocabulary"
  stamp spm
fi

if ! done_before binary; then
  rm -rf "$directory/data-bin" "$directory/data-bin.part"
  if ! fairseq-preprocess --source-lang de --target-lang en --joined-dictionary \
    --trainpref "$directory/spm/train" --validpref "$directory/spm/valid" \
    --testpref "$directory/spm/test" --destdir "$directory/data-bin.part" --workers 1 \
    >"$directory/preprocess.out" 2>&1; then
    cat "$directory/preprocess.out" >&2
    exit 1
  fi
  mv "$directory/data-bin.part" "$directory/data-bin"
  stamp binary
fi

echo "Embedded corpus: text $directory/raw, subwords $directory/spm.model, data $directory/data-bin"
