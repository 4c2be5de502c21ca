#!/usr/bin/env bash
# WMT'14 English-German (configs/data/wmt14.yaml) for fairseq-train: fetches it (a cut download
# goes on), checks it, cleans and tokenises it, cuts it into pieces, binarises it. What is done is
# not done again.
#
#   bash scripts/wmt14/prepare.sh [DIR]     (default OUT/data; settings: scripts/recipe.sh)
#
# DIR gets data-bin-words for MODEL=see2016, data-bin-pieces, of PIECES (32000), for transformer.
# shellcheck source=../recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/../recipe.sh"
choose_model see2016 transformer
data=$(realpath -ms "${1:-$data}")
hold "$data"

case $model in
see2016) # the 50,000 most frequent words of each side
  follow python -m scripts.corpus.prepare wmt14 --output "$data"
  binarise "$data/text" "$data/data-bin-words" \
    fairseq-preprocess --source-lang en --target-lang de \
    --trainpref "$data/text/train" --validpref "$data/text/valid" --testpref "$data/text/test" \
    --nwordssrc 50000 --nwordstgt 50000 --padding-factor 1
  ;;
transformer) # joint pieces
  follow python -m scripts.corpus.prepare wmt14 --output "$data" --pieces "${PIECES:-32000}"
  binarise "$data/pieces" "$data/data-bin-pieces" \
    fairseq-preprocess --source-lang en --target-lang de --joined-dictionary \
    --trainpref "$data/pieces/train" --validpref "$data/pieces/valid" --testpref "$data/pieces/test"
  ;;
esac
