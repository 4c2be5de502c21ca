#!/usr/bin/env bash
# Multi30k German-English (configs/data/multi30k.yaml) for fairseq-train: fetches it (a cut download goes on),
# checks it, cuts it into pieces, binarises it. What is done is not done again.
#
#   bash scripts/multi30k/prepare.sh [DIR]     (default OUT/data; settings: scripts/recipe.sh)
#
# DIR gets data-bin-pieces.
# MULTI30K_URL     another place to fetch from: https://, file://, a folder
# MULTI30K_SHA256  a file of sha256sum for that place's files, or `none`; default: SHA256SUMS there, if
#                 it is a folder that has one, or the official sums
# PIECES          size of the sentencepiece vocabulary (4000)
# shellcheck source=../recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/../recipe.sh"
data=$(realpath -ms "${1:-$data}")
hold "$data"

follow python -m scripts.corpus.prepare multi30k --output "$data" --pieces "${PIECES:-4000}"
binarise "$data/pieces" "$data/data-bin-pieces" \
  fairseq-preprocess --source-lang de --target-lang en --joined-dictionary \
  --trainpref "$data/pieces/train" --validpref "$data/pieces/valid" --testpref "$data/pieces/test"
