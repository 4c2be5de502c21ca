#!/usr/bin/env bash
# Makes the data set of configs/data/SET.yaml ready for fairseq-train: fetches it (a cut download goes
# on), checks it, cleans, tokenises or segments, binarises. What is done already is not done again.
#
#   bash scripts/SET/prepare.sh [DIR]     (default OUT/data; settings: scripts/recipe/settings.sh)
#
# SET_URL     (IWSLT15_URL, WMT14_URL, ...) another place to fetch from: https://, file://, a folder
# SET_SHA256  a file of sha256sum for that place's files, or `none`; default: SHA256SUMS there, if it
#             is a folder that has one, or the official sums
# PIECES      size of a sentencepiece vocabulary
# shellcheck source=../recipe/settings.sh
source "$(dirname "${BASH_SOURCE[0]}")/../recipe/settings.sh"

python -m scripts.corpus.prepare "$set_name" --output "${1:-$out/data}" --model "$model"
