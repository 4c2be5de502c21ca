#!/usr/bin/env bash
# IWSLT'15 English-Vietnamese, from download to BLEU.
#
#   bash scripts/iwslt15/run.sh                  # the whole; again, it goes on where it was cut
#   bash scripts/iwslt15/run.sh prune retrain    # steps: prepare train prune retrain generate evaluate
#
# MODEL  lstm         Luong, Brevdo & Zhao (2017): 26.1 BLEU at beam 10. Trained as theirs; the network
#                     is See et al.'s (2016), with neither a bidirectional encoder nor a learned score.
#                     See et al.'s small model: TRAIN_FLAGS="--decoder-attention False"
#        transformer  no paper's table: fairseq's recipe of IWSLT'14
#        bert_fused   Zhu et al. (2020), as on their IWSLT data; the Transformer above, with which it
#                     begins, is trained first. BERT comes from huggingface.co (0.4 GB) or its cache;
#                     BERT=FOLDER is another
# Other settings: scripts/recipe.sh.
# shellcheck source=../recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/../recipe.sh"
choose_model lstm transformer bert_fused

case $model in
lstm)
  bin=$data/data-bin-words subwords=()
  plugin=(--user-dir "$root/fairseq_prune") # stock fairseq-generate does not know this network
  flags=(
    --arch see2016_lstm_iwslt # 2+2 layers of 512 cells, global dot attention, dropout 0.2
    --criterion cross_entropy
    --sentence-avg # gradients are divided by sentences, not by words, as theirs were
    --optimizer sgd --lr-scheduler halving --clip-norm 5
    --batch-size 128                                   # sentences in all: 128 / N on each of N GPUs
    --max-source-positions 51 --max-target-positions 51 # up to 50 words, and fairseq counts the end
    --skip-invalid-size-inputs-valid-test # longer ones are not validated on
    --log-interval 100
  )
  longer=(--model-overrides "{'max_source_positions': 1024, 'max_target_positions': 1024}") # are scored
  # 12,000 updates, halved each 1,000 from 8,000: about these epochs
  first=(--lr 1 --halve-after 8 --halve-every 1 --max-epoch 12)
  again=(--lr 0.5 --halve-after 2 --halve-every 0.5 --max-epoch 4) # See et al. (2016), section 3.4
  ;;
transformer)
  bin=$data/data-bin-pieces subwords=(--remove-bpe sentencepiece) plugin=() longer=()
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
bert_fused)
  bin=$data/data-bin-pieces subwords=(--remove-bpe sentencepiece)
  plugin=(--user-dir "$root/fairseq_prune") longer=()
  flags=(
    --arch transformer_bert_fused_iwslt_de_en # 6+6 layers of 512, feed-forward 1024, 4 heads
    --bert-model "${BERT:-bert-base-uncased}" # 12 layers of 768; frozen, no part of the checkpoints
    --bert-text sentencepiece+moses # the text of pieces of Moses' tokens, which BERT tokenises itself
    --bert-dropnet 1.0 # in training each layer looks at BERT or at its own side, not at both
    --share-decoder-input-output-embed --dropout 0.3
    --criterion label_smoothed_cross_entropy --label-smoothing 0.1
    --optimizer adam --adam-betas "(0.9,0.98)" --weight-decay 0.0001 --lr-scheduler inverse_sqrt
    --max-tokens 4096 --log-interval 100 --ddp-backend legacy_ddp
  )
  plain=$out/transformer-seed$seed/dense/checkpoint_best.pt
  first=(--lr 0.0005 --warmup-updates 4000 --max-epoch 30 # ours: they train until it no longer helps
    --warmup-from-nmt "$plain")
  again=(--lr 0.00025 --warmup-updates 1000 --max-epoch 10)
  ;;
esac
choose_steps "prepare train prune retrain generate evaluate" "$@"

if wanted prepare; then
  follow bash "$here/prepare.sh" "$data"
fi

if [[ $model == bert_fused ]] && wanted train; then
  follow env MODEL=transformer bash "$here/run.sh" train
fi

train fairseq-train "$bin" --task translation --source-lang en --target-lang vi \
  --user-dir "$root/fairseq_prune" "${flags[@]}" "${first[@]}" \
  --seed "$seed" "${keep[@]}" --save-dir "$dense"

prune fairseq-prune apply "$dense/$best" --output "$pruned/pruned.pt" --force \
  --prune-scheme "$scheme" --prune-saliency "$saliency" --prune-sparsity "$sparsity" \
  --prune-seed "$seed"

retrain fairseq-train "$bin" --task translation --source-lang en --target-lang vi \
  --user-dir "$root/fairseq_prune" "${flags[@]}" "${again[@]}" \
  --seed "$seed" "${keep[@]}" --save-dir "$pruned" --finetune-from-model "$pruned/pruned.pt"

# The retrained model, as stock fairseq translates it: BLEU of Moses' tokens, the literature's.
generate fairseq-generate "$bin" "${plugin[@]}" --path "$pruned/$best" \
  --beam 10 --max-len-a 1.2 --max-len-b 10 "${subwords[@]}" --results-path "$pruned"

# All models there are: sacreBLEU of plain text, and the literature's tokenized BLEU, for reports.
evaluate fairseq-prune evaluate --data "$bin" --beam 10 --max-len-a 1.2 --max-len-b 10 \
  "${subwords[@]}" "${longer[@]}" --text moses --output "$out/results.jsonl"
