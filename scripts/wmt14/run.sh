#!/usr/bin/env bash
# WMT'14 English-German, from download to BLEU.
#
#   bash scripts/wmt14/run.sh                  # the whole; again, it goes on where it was cut
#   bash scripts/wmt14/run.sh prune retrain    # steps: prepare train prune retrain generate evaluate
#
# MODEL  see2016      See, Luong & Manning (2016), section 3: the 4-layer LSTM of figures 1 and 2, 216M
#                     weights in 12 classes
#        transformer  Vaswani et al. (2017), table 3, base: the dense model of Gale et al. (2019). Its
#                     27.3 BLEU is of AVERAGE=5 and EVALUATE_FLAGS=--split-compounds
# Other settings: scripts/recipe.sh.
# shellcheck source=../recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/../recipe.sh"
choose_model see2016 transformer

case $model in
see2016)
  bin=$data/data-bin-words subwords=()
  plugin=(--user-dir "$root/fairseq_prune") # stock fairseq-generate does not know this network
  flags=(
    --arch see2016_lstm # 4+4 layers of 1000 cells, global dot attention, dropout 0.2
    --reverse-source    # as Luong et al. (2015), table 1; the weights are as many either way
    --criterion cross_entropy
    --sentence-avg # gradients are divided by sentences, not by words, as theirs were
    --optimizer sgd --lr-scheduler halving --clip-norm 5
    --batch-size 128                                   # sentences in all: 128 / N on each of N GPUs
    --max-source-positions 51 --max-target-positions 51 # up to 50 words, and fairseq counts the end
    --skip-invalid-size-inputs-valid-test # longer ones are not validated on
    --log-interval 100
  )
  longer=(--model-overrides "{'max_source_positions': 1024, 'max_target_positions': 1024}") # are scored
  # the ninth epoch is at 1/2, the twelfth at 1/16; retraining: the paper's section 3.4
  first=(--lr 1 --halve-after 8 --halve-every 1 --max-epoch 12)
  again=(--lr 0.5 --halve-after 2 --halve-every 0.5 --max-epoch 4)
  ;;
transformer)
  bin=$data/data-bin-pieces subwords=(--remove-bpe sentencepiece) plugin=() longer=()
  flags=(
    --arch transformer_wmt_en_de # 6+6 layers of 512, feed-forward 2048, 8 heads
    --share-all-embeddings       # one table for source, target and softmax: a joined dictionary
    --dropout 0.1
    --criterion label_smoothed_cross_entropy --label-smoothing 0.1
    --optimizer adam --adam-betas "(0.9,0.98)" --lr-scheduler inverse_sqrt --warmup-init-lr 1e-07
    --max-tokens 4096 # of a batch, on the longer side
    --update-freq 8   # the paper's 25,000 words an update on one GPU: 8 / N on N GPUs
    --log-interval 100
    --ddp-backend legacy_ddp # fairseq's encoder layers own tensors that get no gradient
  )
  # the paper's peak, 512^-0.5 * 4000^-0.5; retraining is ours, in See et al.'s proportions
  first=(--lr 0.0007 --warmup-updates 4000 --max-update 100000)
  again=(--lr 0.00035 --warmup-updates 1000 --max-update 33000)
  ;;
esac
choose_steps "prepare train prune retrain generate evaluate" "$@"

if wanted prepare; then
  follow bash "$here/prepare.sh" "$data"
fi

train fairseq-train "$bin" --task translation --source-lang en --target-lang de \
  --user-dir "$root/fairseq_prune" "${flags[@]}" "${first[@]}" \
  --seed "$seed" "${keep[@]}" --save-dir "$dense"

prune fairseq-prune apply "$dense/$best" --output "$pruned/pruned.pt" --force \
  --prune-scheme "$scheme" --prune-saliency "$saliency" --prune-sparsity "$sparsity" \
  --prune-seed "$seed"

retrain fairseq-train "$bin" --task translation --source-lang en --target-lang de \
  --user-dir "$root/fairseq_prune" "${flags[@]}" "${again[@]}" \
  --seed "$seed" "${keep[@]}" --save-dir "$pruned" --finetune-from-model "$pruned/pruned.pt"

# The retrained model, as stock fairseq translates it: BLEU of Moses' tokens, the literature's.
generate fairseq-generate "$bin" "${plugin[@]}" --path "$pruned/$best" \
  --beam 4 --lenpen 0.6 --max-len-a 1.2 --max-len-b 10 "${subwords[@]}" --results-path "$pruned"

# All models there are: sacreBLEU of plain text, and the literature's tokenized BLEU, for reports.
evaluate fairseq-prune evaluate --data "$bin" --beam 4 --lenpen 0.6 --max-len-a 1.2 --max-len-b 10 \
  "${subwords[@]}" "${longer[@]}" --text moses --reference "$data/raw/test.de" \
  --output "$out/results.jsonl"
