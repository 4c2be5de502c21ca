#!/usr/bin/env bash
# Makes Multi30k German-English ready for fairseq-train.
#
#   bash scripts/multi30k/prepare.sh DIR      (fairseq's programs and python on PATH)
#
# Leaves DIR/raw (text), DIR/spm.model, DIR/spm (pieces) and DIR/data-bin; a second run does nothing.
# MULTI30K_DIR  folder with {train,val,test_2016_flickr}.{de,en}, plain or as .gz or .xz;
#               without it they are fetched from MULTI30K_URL, the data set's own repository.
# PIECES        size of the vocabulary (default 4000)
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
url=${MULTI30K_URL:-https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw}
[[ $# -eq 1 ]] || { echo "usage: prepare.sh DIR" >&2 && exit 2; }
folder=$1

die() {
  printf 'multi30k: %s\n' "$*" >&2
  exit 2
}

# The text of a file that may be packed.
unpacked() {
  case $1 in
    *.gz) gzip -dc "$1" ;;
    *.xz) python -c 'import lzma, shutil, sys
shutil.copyfileobj(lzma.open(sys.argv[1]), sys.stdout.buffer)' "$1" ;;
    *) cat "$1" ;;
  esac
}

find_file() { # NAME
  local ending
  for ending in "" .gz .xz; do
    if [[ -f $MULTI30K_DIR/$1$ending ]]; then
      printf '%s\n' "$MULTI30K_DIR/$1$ending"
      return
    fi
  done
  die "MULTI30K_DIR=$MULTI30K_DIR has no $1, $1.gz or $1.xz."
}

fetch_text() { # NAME TARGET
  local source
  if [[ ${MULTI30K_DIR:-} ]]; then
    source=$(find_file "$1")
  else
    source=$2.gz
    if ! python -c 'import shutil, sys, urllib.request
with urllib.request.urlopen(sys.argv[1], timeout=60) as answer, open(sys.argv[2], "wb") as file:
    shutil.copyfileobj(answer, file)' "$url/$1.gz" "$source" 2>"$2.log"; then
      die "$url/$1.gz could not be fetched ($(tail -n 1 "$2.log")); set MULTI30K_DIR to a folder with the files."
    fi
  fi
  unpacked "$source" >"$2.tmp"
  [[ -s $2.tmp ]] || die "$source is empty or damaged."
  mv "$2.tmp" "$2"
  rm -f "$2.gz" "$2.log"
}

fetch() {
  local pair language
  mkdir -p "$folder/raw"
  for pair in train:train val:valid test_2016_flickr:test; do
    for language in de en; do
      if ! [[ -f $folder/raw/${pair#*:}.$language ]]; then
        fetch_text "${pair%%:*}.$language" "$folder/raw/${pair#*:}.$language"
      fi
    done
    if [[ $(wc -l <"$folder/raw/${pair#*:}.de") -ne $(wc -l <"$folder/raw/${pair#*:}.en") ]]; then
      die "${pair%%:*}.de and ${pair%%:*}.en have different numbers of lines; one is damaged."
    fi
  done
}

fetch
if ! [[ -f $folder/spm/done ]]; then
  python "$root/scripts/multi30k/subwords.py" --raw "$folder/raw" --output "$folder" \
    --pieces "${PIECES:-4000}"
  : >"$folder/spm/done"
fi
if ! [[ -d $folder/data-bin ]]; then
  rm -rf "$folder/data-bin.tmp"
  fairseq-preprocess -s de -t en --joined-dictionary --trainpref "$folder/spm/train" \
    --validpref "$folder/spm/valid" --testpref "$folder/spm/test" \
    --destdir "$folder/data-bin.tmp" >"$folder/preprocess.log" 2>&1 ||
    { tail -n 12 "$folder/preprocess.log" >&2 && die "fairseq-preprocess failed."; }
  mv "$folder/data-bin.tmp" "$folder/data-bin"
fi
printf 'multi30k: ready for fairseq-train: %s\n' "$folder/data-bin"
