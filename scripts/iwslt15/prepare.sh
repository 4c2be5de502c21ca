#!/usr/bin/env bash
# IWSLT'15 English-Vietnamese (configs/data/iwslt15.yaml) for fairseq-train: fetches it (a cut
# download goes on), checks it, cleans it, cuts it into pieces, binarises it. What is done is not
# done again.
#
#   bash scripts/iwslt15/prepare.sh [DIR]     (default OUT/data; settings: scripts/recipe.sh)
#
# DIR gets data-bin-words for MODEL=lstm; for other models data-bin-pieces, of PIECES (8000).
# shellcheck source=../recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/../recipe.sh"
choose_model lstm transformer bert_fused
data=$(realpath -ms "${1:-$data}")
hold "$data"

case $model in
lstm) # words that occur 5 times: 17,191 and 7,709 of them
  follow python -m scripts.corpus.prepare iwslt15 --output "$data"
  binarise "$data/text" "$data/data-bin-words" \
    fairseq-preprocess --source-lang en --target-lang vi \
    --trainpref "$data/text/train" --validpref "$data/text/valid" --testpref "$data/text/test" \
    --thresholdsrc 5 --thresholdtgt 5 --padding-factor 1
  ;;
*) # joint pieces
  follow python -m scripts.corpus.prepare iwslt15 --output "$data" --pieces "${PIECES:-8000}"
  binarise "$data/pieces" "$data/data-bin-pieces" \
    fairseq-preprocess --source-lang en --target-lang vi --joined-dictionary \
    --trainpref "$data/pieces/train" --validpref "$data/pieces/valid" --testpref "$data/pieces/test"
  ;;
esac
