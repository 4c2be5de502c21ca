#!/usr/bin/env bash
# Multi30k German-English, from download to BLEU.
#
#   bash scripts/multi30k/run.sh                  # the whole; again, it goes on where it was cut
#   bash scripts/multi30k/run.sh prune retrain    # steps: prepare train prune retrain generate evaluate
#
# MODEL  lstm                2+2 layers with attention, after See, Luong & Manning (2016), section 3
#        transformer         3+3 layers, at sizes that two cores train in an hour or two
#        transformer_report  3+3 layers, of a report on GraSP, its table of Multi30k: 22.96 BLEU dense
# Other settings: scripts/recipe.sh. Studies have the first two's flags from configs/train/multi30k.
# shellcheck source=../recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/../recipe.sh"
choose_model lstm transformer transformer_report
bin=$data/data-bin-pieces

case $model in
lstm)
  flags=(
    --arch lstm --dropout 0.2
    --encoder-embed-dim 160 --encoder-hidden-size 160 --encoder-layers 2
    --decoder-embed-dim 160 --decoder-hidden-size 160 --decoder-layers 2 --decoder-out-embed-dim 160
    --optimizer adam --clip-norm 1 --lr-scheduler inverse_sqrt --warmup-updates 300
    --criterion label_smoothed_cross_entropy --label-smoothing 0.1
    --max-tokens 2000 # of a batch, on the longer side
    --log-interval 50
  )
  first=(--lr 0.003 --max-epoch 10)
  again=(--lr 0.0015 --max-epoch 3) # half the rate (the paper's section 3.4), a third of the epochs
  ;;
transformer)
  flags=(
    --arch transformer --dropout 0.2
    --encoder-embed-dim 256 --encoder-ffn-embed-dim 512 --encoder-layers 3 --encoder-attention-heads 4
    --decoder-embed-dim 256 --decoder-ffn-embed-dim 512 --decoder-layers 3 --decoder-attention-heads 4
    --share-all-embeddings # one table for source, target and softmax, pruned once
    --optimizer adam --adam-betas "(0.9,0.98)" --lr-scheduler inverse_sqrt --warmup-updates 400
    --criterion label_smoothed_cross_entropy --label-smoothing 0.1
    --max-tokens 4000 --log-interval 20
    --ddp-backend legacy_ddp # fairseq's encoder layers own tensors that get no gradient
  )
  first=(--lr 0.002 --max-epoch 12)
  again=(--lr 0.001 --max-epoch 4)
  ;;
transformer_report)
  flags=(
    --arch transformer_multi30k_de_en # 3+3 layers of 512, feed-forward 512, 8 heads, dropout 0.1
    --criterion cross_entropy
    # betas, eps and the rate are those of PyTorch's tutorial: inferred
    --optimizer adam --adam-betas "(0.9,0.98)" --adam-eps 1e-09 --lr-scheduler fixed
    --batch-size 128 # sentences in all: 128 / N on each of N GPUs
    --log-interval 50 --ddp-backend legacy_ddp
  )
  first=(--lr 0.0001 --max-epoch 10) # the report prunes a fresh model, then trains it as long
  again=(--lr 0.00005 --max-epoch 3) # of a trained and pruned model: ours
  ;;
esac
choose_steps "prepare train prune retrain generate evaluate" "$@"

if wanted prepare; then
  follow bash "$here/prepare.sh" "$data"
fi

train fairseq-train "$bin" --task translation --source-lang de --target-lang en \
  --user-dir "$root/fairseq_prune" "${flags[@]}" "${first[@]}" \
  --seed "$seed" "${keep[@]}" --save-dir "$dense"

prune fairseq-prune apply "$dense/$best" --output "$pruned/pruned.pt" --force \
  --prune-scheme "$scheme" --prune-saliency "$saliency" --prune-sparsity "$sparsity" \
  --prune-seed "$seed"

retrain fairseq-train "$bin" --task translation --source-lang de --target-lang en \
  --user-dir "$root/fairseq_prune" "${flags[@]}" "${again[@]}" \
  --seed "$seed" "${keep[@]}" --save-dir "$pruned" --finetune-from-model "$pruned/pruned.pt"

# The retrained model, as stock fairseq translates it.
generate fairseq-generate "$bin" --path "$pruned/$best" --scoring sacrebleu \
  --beam 5 --max-len-a 1.2 --max-len-b 10 --remove-bpe sentencepiece --results-path "$pruned"

# All models there are, against the raw text: sacreBLEU and tokenized BLEU, for reports.
evaluate fairseq-prune evaluate --data "$bin" --beam 5 --max-len-a 1.2 --max-len-b 10 \
  --remove-bpe sentencepiece --text raw --reference "$data/raw/test.en" \
  --output "$out/results.jsonl"
