#!/usr/bin/env bash
# IWSLT'14 German-English (configs/data/iwslt14.yaml) for fairseq-train: fetches it (a cut
# download goes on), checks it, cleans and tokenises it, cuts it into pieces, binarises it. What
# is done is not done again.
#
#   bash scripts/iwslt14/prepare.sh [DIR]     (default OUT/data; settings: scripts/recipe.sh)
#
# DIR gets data-bin-pieces, of PIECES (10000).
# shellcheck source=../recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/../recipe.sh"
data=$(realpath -ms "${1:-$data}")
hold "$data"

follow python -m scripts.corpus.prepare iwslt14 --output "$data" --pieces "${PIECES:-10000}"
binarise "$data/pieces" "$data/data-bin-pieces" \
  fairseq-preprocess --source-lang de --target-lang en --joined-dictionary \
  --trainpref "$data/pieces/train" --validpref "$data/pieces/valid" --testpref "$data/pieces/test"
