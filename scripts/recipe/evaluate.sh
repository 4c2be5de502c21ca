#!/usr/bin/env bash
# Translates the test set with every model that is there, by fairseq's beam search, and scores it:
# sacreBLEU with its signature and the literature's tokenized BLEU (configs/data/SET.yaml, `evaluate`).
#
#   bash scripts/SET/evaluate.sh [FLAGS OF fairseq-prune evaluate]   (settings: scripts/recipe/settings.sh)
#
# What is evaluated is not decoded again. results.jsonl in OUT has all scores.
# shellcheck source=../recipe/settings.sh
source "$(dirname "${BASH_SOURCE[0]}")/../recipe/settings.sh"

score() { # STAGE CHECKPOINT ARGS...
  [[ -f $2 ]] || return 0
  found=1
  fairseq-prune evaluate "$2" --data "$data" "${evaluate[@]}" --output "$out/results.jsonl" \
    --tag "model=$model" --tag "seed=${SEED:-1}" --tag "stage=$1" "${@:3}" ||
    die "$2 could not be evaluated."
}

found=
score dense "$(checkpoint_of "$dense")" "$@"
score pruned "$pruned/pruned.pt" "$@"
score retrained "$(checkpoint_of "$pruned")" "$@"
[[ $found ]] || die "there is no model in $base yet; run train.sh first."
say "all scores: $out/results.jsonl; figures and tables of them: fairseq-prune report $out"
