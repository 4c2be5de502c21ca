#!/usr/bin/env bash
# AG News, from download to accuracy: the mean of embeddings of 64 and a linear layer, with the
# settings of PyTorch's tutorial
# (https://docs.pytorch.org/tutorials/beginner/text_sentiment_ngrams_tutorial.html).
#
#   bash scripts/ag_news/run.sh                  # the whole; again, it goes on where it was cut
#   bash scripts/ag_news/run.sh prune retrain    # steps: prepare train prune retrain evaluate
#
# Settings: scripts/recipe.sh. Studies have the same flags from configs/train/ag_news.
# shellcheck source=../recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/../recipe.sh"
choose_model embedding_bag
bin=$data/data-bin-words
choose_steps "prepare train prune retrain evaluate" "$@"

flags=(
  --task sentence_prediction --criterion sentence_prediction --num-classes 4
  --arch embedding_bag --embed-dim 64 --init-range 0.5
  --max-positions 1024 # a longer text would be left out
  --optimizer sgd --clip-norm 0.1
  --lr-scheduler fixed # the tutorial decays on a plateau, which fairseq forgets at a resume
  --best-checkpoint-metric accuracy --maximize-best-checkpoint-metric
  --batch-size 64
  --num-workers 0 # a batch is made in no time
  --log-interval 200
)

if wanted prepare; then
  follow bash "$here/prepare.sh" "$data"
fi

train fairseq-train "$bin" \
  --user-dir "$root/fairseq_prune" "${flags[@]}" --lr 5 --max-epoch 10 \
  --seed "$seed" "${keep[@]}" --save-dir "$dense"

prune fairseq-prune apply "$dense/$best" --output "$pruned/pruned.pt" --force \
  --prune-scheme "$scheme" --prune-saliency "$saliency" --prune-sparsity "$sparsity" \
  --prune-seed "$seed"

# Half the first learning rate (See et al. 2016, section 3.4), a third of the epochs, rounded up.
retrain fairseq-train "$bin" \
  --user-dir "$root/fairseq_prune" "${flags[@]}" --lr 2.5 --max-epoch 4 \
  --seed "$seed" "${keep[@]}" --save-dir "$pruned" --finetune-from-model "$pruned/pruned.pt"

evaluate fairseq-prune classify --data "$bin" --output "$out/accuracy.jsonl"
