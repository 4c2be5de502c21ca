#!/usr/bin/env bash
# AG News (configs/data/ag_news.yaml) for fairseq-train: fetches it (a cut download goes on),
# checks it, binarises it. What is done is not done again.
#
#   bash scripts/ag_news/prepare.sh [DIR]     (default OUT/data; settings: scripts/recipe.sh)
#
# DIR gets data-bin-words; words rarer than MIN_COUNT (1) become <unk>.
# shellcheck source=../recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/../recipe.sh"
data=$(realpath -ms "${1:-$data}")
hold "$data"

follow python -m scripts.corpus.prepare ag_news --output "$data"
for ending in '' .gz .xz; do # a mirror may pack them
  if [[ -f $data/download/train.csv$ending ]]; then train=$data/download/train.csv$ending; fi
  if [[ -f $data/download/test.csv$ending ]]; then test=$data/download/test.csv$ending; fi
done
# a twentieth of the training rows is to choose the best epoch by
follow python -m scripts.ag_news.binarise --train "$train" --test "$test" --valid-share 0.05 \
  --min-count "${MIN_COUNT:-1}" --output "$data/data-bin-words"
