#!/usr/bin/env bash
# Trains the pruned model on, its zeros held: configs/train/SET/MODEL.yaml, sections `model`, `retrain`.
#
#   bash scripts/SET/retrain.sh [FLAGS OF fairseq-train]     (settings: scripts/recipe/settings.sh)
#
# A run that was cut goes on where it was.
# shellcheck disable=SC2034
section=retrain
# shellcheck source=../recipe/settings.sh
source "$(dirname "${BASH_SOURCE[0]}")/../recipe/settings.sh"

[[ -f $pruned/pruned.pt ]] || die "there is no pruned model $pruned/pruned.pt; run prune.sh first."
is_newer "$pruned/pruned.pt" "$pruned/checkpoint_last.pt" &&
  die "$pruned was retrained from another pruned model; remove its checkpoint_*.pt to begin anew."
once "$pruned/retrain" "${launch[@]}" "$data" "${flags[@]}" "${keep[@]}" "${train_more[@]}" \
  --user-dir "$root/fairseq_prune" --seed "${SEED:-1}" --save-dir "$pruned" \
  --finetune-from-model "$pruned/pruned.pt" "$@"
average "$pruned"
say "retrained model: $(checkpoint_of "$pruned")"
