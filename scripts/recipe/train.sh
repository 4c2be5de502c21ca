#!/usr/bin/env bash
# Trains the dense model of configs/train/SET/MODEL.yaml, its sections `model` and `dense`.
#
#   bash scripts/SET/train.sh [FLAGS OF fairseq-train]     (settings: scripts/recipe/settings.sh)
#
# A run that was cut goes on where it was.
# shellcheck disable=SC2034
section=dense
# shellcheck source=../recipe/settings.sh
source "$(dirname "${BASH_SOURCE[0]}")/../recipe/settings.sh"

[[ -d $data ]] || die "there are no data in $data; run prepare.sh first."
once "$dense/train" "${launch[@]}" "$data" "${flags[@]}" "${keep[@]}" "${train_more[@]}" \
  --user-dir "$root/fairseq_prune" --seed "${SEED:-1}" --save-dir "$dense" "$@"
average "$dense"
say "dense model: $(checkpoint_of "$dense")"
