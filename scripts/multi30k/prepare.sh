#!/usr/bin/env bash
# Multi30k German-English (configs/data/multi30k.yaml) for fairseq-train: fetches it (a cut
# download goes on), checks it, cuts it into pieces, binarises it. What is done is not done again.
#
#   bash scripts/multi30k/prepare.sh [DIR]     (default OUT/data; settings: scripts/recipe.sh)
#
# DIR gets data-bin-pieces, of PIECES (4000).
# shellcheck source=../recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/../recipe.sh"
data=$(realpath -ms "${1:-$data}")
hold "$data"

follow python -m scripts.corpus.prepare multi30k --output "$data" --pieces "${PIECES:-4000}"
binarise "$data/pieces" "$data/data-bin-pieces" \
  fairseq-preprocess --source-lang de --target-lang en --joined-dictionary \
  --trainpref "$data/pieces/train" --validpref "$data/pieces/valid" --testpref "$data/pieces/test,$data/pieces/test1,$data/pieces/test2"
