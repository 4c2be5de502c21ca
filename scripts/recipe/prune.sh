#!/usr/bin/env bash
# Prunes the dense model: SPARSITY of its weights, by SCHEME and SALIENCY. A model that another
# command pruned is not replaced: flags of your own need a RUN of their own.
#
#   bash scripts/SET/prune.sh [FLAGS OF fairseq-prune apply]     (settings: scripts/recipe/settings.sh)
# shellcheck source=../recipe/settings.sh
source "$(dirname "${BASH_SOURCE[0]}")/../recipe/settings.sh"

from=$(checkpoint_of "$dense")
[[ -f $from ]] || die "there is no dense model $from; run train.sh first."
is_newer "$from" "$pruned/pruned.pt" &&
  die "$from is newer than $pruned/pruned.pt; choose another RUN, or remove that folder."
alone=yes
once "$pruned/prune" fairseq-prune apply "$from" --output "$pruned/pruned.pt" --force \
  --prune-scheme "${SCHEME:-class-blind}" --prune-saliency "${SALIENCY:-magnitude}" \
  --prune-sparsity "${SPARSITY:-0.8}" --prune-seed "${SEED:-1}" "${score_on[@]}" "$@"
say "pruned model: $pruned/pruned.pt"
