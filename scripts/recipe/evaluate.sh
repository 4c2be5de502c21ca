#!/usr/bin/env bash
# Translates the test set with every model that is there, by fairseq's beam search, and scores it:
# sacreBLEU with its signature and the literature's tokenized BLEU (configs/data/SET.yaml, `evaluate`).
# Of classifiers, the accuracy.
#
#   bash scripts/SET/evaluate.sh [FLAGS OF fairseq-prune evaluate]   (settings: scripts/recipe/settings.sh)
#
# What is evaluated is not decoded again. results.jsonl (accuracy.jsonl) in OUT has all scores;
# `fairseq-prune report OUT` draws them.
# shellcheck source=../recipe/settings.sh
source "$(dirname "${BASH_SOURCE[0]}")/../recipe/settings.sh"

stages='' files=()
for stage in "dense:$(checkpoint_of "$dense")" "pruned:$pruned/pruned.pt" \
  "retrained:$(checkpoint_of "$pruned")"; do
  if [[ -f ${stage#*:} ]]; then stages+=${stages:+,}${stage%%:*} files+=("${stage#*:}"); fi
done
((${#files[@]})) || die "there is no model in $base yet; run train.sh first."
follow fairseq-prune "${evaluate[@]}" "${files[@]}" --data "$data" --output "$results" --tag "model=$model" --tag "seed=${SEED:-1}" \
  --tag "stage=$stages" "${evaluate_more[@]}" "$@"
say "all scores: $results"
