#!/usr/bin/env bash
# Makes the embedded German-English corpus ready for fairseq-train.
# Usage: prepare_embedded.sh DIR   (fairseq's programs and python on PATH)
# Leaves DIR/raw (text), DIR/spm.model, DIR/spm (pieces), DIR/data-bin and DIR/vectors.txt
# (random start vectors of 128 numbers for an LSTM's --encoder-embed-path).
# A finished step is skipped; one that was cut, or whose inputs changed, is done again.
# PAIRS (20000) is the number of training pairs, the first ones; VOCAB (1500) that of subwords.
set -euo pipefail
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

if [[ $# -ne 1 ]]; then
  echo "Usage: $0 DIR" >&2
  exit 2
fi
if [[ ${SEED:-1} != 1 ]]; then
  echo "$0: SEED=$SEED: the corpus is that of seed 1 and no other is made; unset SEED." >&2
  exit 2
fi
mkdir -p "$1"
directory=$(cd "$1" && pwd)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
pairs=${PAIRS:-20000}
vocabulary=${VOCAB:-1500}

for program in python fairseq-preprocess; do
  if ! command -v "$program" >/dev/null; then
    echo "$0: $program is not on PATH; activate the environment first (. .venv/bin/activate)." >&2
    exit 2
  fi
done

# What the result depends on: settings, the packed text and what is done to it.
inputs="$pairs $vocabulary $(cat "$here"/embedded.tar.xz "$here"/embedded_*.py "$here/prepare_embedded.sh" | cksum)"

# done_before STEP FILE: whether the step's stamp fits these inputs and its last file is there.
done_before() {
  [[ -f "$directory/.stamps/$1" && "$(cat "$directory/.stamps/$1")" == "$inputs" && -f "$2" ]]
}

# stamp STEP: says that the step is complete.
stamp() {
  mkdir -p "$directory/.stamps"
  printf '%s\n' "$inputs" >"$directory/.stamps/$1.part"
  mv "$directory/.stamps/$1.part" "$directory/.stamps/$1"
}

# What a cut run left behind under temporary names.
find "$directory" -maxdepth 2 -name '*.part*' -prune -exec rm -rf {} +

if ! done_before text "$directory/raw/test.en"; then
  rm -f "$directory"/.stamps/{spm,binary,vectors}
  python "$here/embedded_corpus.py" --output "$directory/raw" --pairs "$pairs"
  stamp text
fi

if ! done_before spm "$directory/spm/test.en"; then
  rm -f "$directory"/.stamps/{binary,vectors}
  python "$here/embedded_spm.py" --raw "$directory/raw" --output "$directory" \
    --vocabulary "$vocabulary"
  stamp spm
fi

if ! done_before binary "$directory/data-bin/test.de-en.en.idx"; then
  rm -f "$directory/.stamps/vectors"
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

if ! done_before vectors "$directory/vectors.txt"; then
  python "$here/embedded_vectors.py" --dictionary "$directory/data-bin/dict.de.txt" \
    --output "$directory/vectors.txt" >/dev/null
  stamp vectors
fi

echo "Embedded corpus: text $directory/raw, subwords $directory/spm.model, data $directory/data-bin"
