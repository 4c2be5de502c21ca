#!/usr/bin/env bash
# IWSLT'14 German-English, from download to BLEU.
#
#   bash scripts/iwslt14/run.sh                  # the whole; again, it goes on where it was cut
#   bash scripts/iwslt14/run.sh prune retrain    # steps: prepare train prune retrain generate evaluate
#
# MODEL  transformer  fairseq's own recipe (examples/translation/README.md)
#        lstm         one layer, as in a report with 28.3 BLEU, its table of schemes: it says no more.
#                     Width and training are ours, so is that stock fairseq can open it
# Other settings: scripts/recipe.sh.
# shellcheck source=../recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/../recipe.sh"
choose_model transformer lstm
bin=$data/data-bin-pieces

case $model in
transformer)
  flags=(
    --arch transformer_iwslt_de_en # 6+6 layers of 512, feed-forward 1024, 4 heads
    --share-decoder-input-output-embed --dropout 0.3
    --criterion label_smoothed_cross_entropy --label-smoothing 0.1
    --optimizer adam --adam-betas "(0.9,0.98)" --weight-decay 0.0001 --lr-scheduler inverse_sqrt
    --max-tokens 4096 # of a batch, on the longer side, on one GPU: 4096 / N on N
    --log-interval 100
    --ddp-backend legacy_ddp # fairseq's encoder layers own tensors that get no gradient
  )
  first=(--lr 0.0005 --warmup-updates 4000 --max-epoch 50)
  again=(--lr 0.00025 --warmup-updates 1000 --max-epoch 17) # ours: half the rate, a third as long
  ;;
lstm)
  flags=(
    --arch lstm # 1+1 layers of 512 cells, attention, input feeding
    # with one layer the encoder has to see both sides of a word
    --encoder-bidirectional --encoder-hidden-size 256
    --dropout 0.2
    --criterion label_smoothed_cross_entropy --label-smoothing 0.1
    --optimizer adam --lr-scheduler inverse_sqrt --clip-norm 1
    --max-tokens 4000 --log-interval 100
  )
  first=(--lr 0.001 --warmup-updates 1000 --max-epoch 18)
  again=(--lr 0.0005 --warmup-updates 300 --max-epoch 6) # See et al. (2016), section 3.4
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

# The retrained model, as stock fairseq translates it: BLEU of lower-cased Moses' tokens.
generate fairseq-generate "$bin" --path "$pruned/$best" \
  --beam 5 --max-len-a 1.2 --max-len-b 10 --remove-bpe sentencepiece --results-path "$pruned"

# All models there are: sacreBLEU of plain text, and the literature's tokenized BLEU, for reports.
evaluate fairseq-prune evaluate --data "$bin" --beam 5 --max-len-a 1.2 --max-len-b 10 \
  --remove-bpe sentencepiece --text moses --output "$out/results.jsonl"
