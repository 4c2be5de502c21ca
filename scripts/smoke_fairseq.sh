#!/usr/bin/env bash
# Runs the unmodified commands of fairseq on a toy corpus, one line of result for each.
#
#   bash scripts/smoke_fairseq.sh BIN FOLDER [ARGS FOR EVERY TRAINING]
#
# BIN     the folder that fairseq-train is in
# FOLDER  an empty folder to work in
# Each line is "ok" or "FAILED", a tab, the name. The exit code is the number of failures.
# shellcheck disable=SC2329  # check() invokes the functions below by their names
set -uo pipefail

bin=$1
work=$2
shift 2
extra=("$@")
mkdir -p "$work"
cd "$work" || exit 1
export OMP_NUM_THREADS=1
failures=0

check() {
    local name=$1 log="${1// /_}.log"
    shift
    if "$@" >"$log" 2>&1; then
        printf 'ok\t%s\n' "$name"
    else
        printf 'FAILED\t%s\n' "$name"
        failures=$((failures + 1))
    fi
}

make_corpus() {
    "$bin/python" - <<'PYTHON'
import random

draw = random.Random(1)
words = "der die hund katze haus baum sieht mag alte kleine".split()
for split, count in (("train", 200), ("valid", 20), ("test", 20)):
    with open(f"{split}.de", "w") as source, open(f"{split}.en", "w") as target:
        for _ in range(count):
            sentence = draw.choices(words, k=draw.randint(3, 9))
            print(*sentence, file=source)
            print(*(word.upper() for word in reversed(sentence)), file=target)
PYTHON
}

small_transformer=(--arch transformer_iwslt_de_en
    --encoder-layers 2 --encoder-embed-dim 32 --encoder-ffn-embed-dim 64 --encoder-attention-heads 2
    --decoder-layers 2 --decoder-embed-dim 32 --decoder-ffn-embed-dim 64 --decoder-attention-heads 2)
small_lstm=(--arch lstm --encoder-embed-dim 32 --encoder-hidden-size 32 --decoder-embed-dim 32
    --decoder-hidden-size 32 --decoder-out-embed-dim 32 --encoder-bidirectional)
scored=(--eval-bleu --eval-bleu-args '{"beam":2}' --eval-tokenized-bleu)

# train NAME UPDATES ARGS...
train() {
    local name=$1 updates=$2
    shift 2
    "$bin/fairseq-train" data --save-dir "$name" --max-update "$updates" --optimizer adam --lr 0.001 \
        --max-tokens 500 --save-interval-updates 4 --no-progress-bar --log-interval 2 --cpu --seed 1 \
        "$@" "${extra[@]+"${extra[@]}"}" && [ -s "$name/checkpoint_last.pt" ]
}

two_ranks() {
    "$bin/torchrun" --nproc_per_node 2 --master_port "$((20000 + RANDOM % 20000))" \
        "$bin/fairseq-train" data --save-dir ranks --max-update "$1" --optimizer adam --lr 0.001 \
        --max-tokens 500 --no-progress-bar --cpu --seed 1 --ddp-backend legacy_ddp \
        --distributed-backend gloo "${small_lstm[@]}" "${extra[@]+"${extra[@]}"}"
}

interactive() {
    head -n 3 test.de | "$bin/fairseq-interactive" data --path transformer/checkpoint_last.pt --beam 2 \
        --cpu --source-lang de --target-lang en >interactive.out && grep '^H-2' interactive.out
}

generate() {
    "$bin/fairseq-generate" data --path "$1/checkpoint_last.pt" --beam 2 --cpu >"$1.out" \
        && grep 'BLEU' "$1.out"
}

hydra_train() {
    cat >language_model.yaml <<YAML
task: {_name: language_modeling, data: $PWD/lm}
model:
  _name: transformer_lm
  decoder_layers: 2
  decoder_embed_dim: 32
  decoder_output_dim: 32
  decoder_input_dim: 32
  decoder_ffn_embed_dim: 64
  decoder_attention_heads: 2
  share_decoder_input_output_embed: true
criterion: {_name: cross_entropy}
optimizer: {_name: adam}
lr_scheduler: {_name: fixed}
optimization: {lr: [0.001], max_update: $1}
dataset: {max_tokens: 500}
common: {cpu: true, seed: 1}
checkpoint: {save_dir: $PWD/hydra}
YAML
    "$bin/fairseq-hydra-train" --config-dir "$PWD" --config-name language_model \
        hydra.run.dir="$PWD/hydra_run" && [ -s hydra/checkpoint_last.pt ]
}

check corpus make_corpus
check preprocess "$bin/fairseq-preprocess" --source-lang de --target-lang en --trainpref train \
    --validpref valid --testpref test --destdir data --workers 2
check "preprocess lm" "$bin/fairseq-preprocess" --only-source --trainpref train.de --validpref valid.de \
    --testpref test.de --destdir lm
check "train lstm" train lstm 8 "${small_lstm[@]}"
check "resume lstm" train lstm 12 "${small_lstm[@]}"
check "generate lstm" generate lstm
check "train transformer" train transformer 8 "${small_transformer[@]}" "${scored[@]}"
check "resume transformer" train transformer 12 "${small_transformer[@]}" "${scored[@]}"
check "generate transformer" generate transformer
check validate "$bin/fairseq-validate" data --task translation --path transformer/checkpoint_last.pt \
    --valid-subset valid --max-tokens 500 --cpu
check interactive interactive
check hydra-train hydra_train 4
check "hydra-train resume" hydra_train 8
check eval-lm "$bin/fairseq-eval-lm" lm --path hydra/checkpoint_last.pt --max-tokens 500 --cpu
check "two ranks" two_ranks 4
check "two ranks resume" two_ranks 8
exit "$failures"
