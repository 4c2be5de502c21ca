#!/usr/bin/env bash
# BERT-fused translation (Zhu et al. 2020): trains the plain Transformer, then the fused model that
# begins with it, with bert-base-uncased; prunes, retrains and evaluates that.
#
#   bash scripts/iwslt15/bert_fused.sh     (settings: scripts/recipe/settings.sh)
#
# BERT comes from huggingface.co (0.4 GB) or its cache; BERT=FOLDER is another.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
MODEL=transformer bash "$here/prepare.sh"
MODEL=transformer bash "$here/train.sh"
export MODEL=bert_fused TRAIN_FLAGS="${TRAIN_FLAGS:-} ${BERT:+--bert-model $BERT}"
exec bash "$here/run.sh" "$@"
