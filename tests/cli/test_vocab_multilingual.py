"""fairseq-prune vocab of models for several languages, and of those that read one text."""

import random
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.cli.models import masks_in
from tests.conftest import TRANSFORMER, read, run, train_here

WORDS = {
    "de": "ab ba ca da ea fa".split(),
    "fr": "xab xba xca xda xea xfa".split(),
    "en": "AB BA CA DA EA FA".split(),
}
SHARED = ("--share-all-embeddings",)
COMMON = (
    "--optimizer adam --lr 0.01 --max-tokens 200 --cpu --seed 1 --no-progress-bar "
    "--no-epoch-checkpoints --num-workers 0 --max-update 6"
).split()
ONE_MODEL = (
    "--task translation_multi_simple_epoch --lang-pairs de-en,fr-en,en-de --encoder-langtok src "
    "--decoder-langtok --langs fr,de,en,it"
).split()
MODELS = "--task multilingual_translation --lang-pairs de-en,fr-en,en-de".split()
APART = [flag for flag in TRANSFORMER if flag != "--share-decoder-input-output-embed"]
LM = (
    "--task language_modeling --arch transformer_lm --decoder-embed-dim 16 --decoder-layers 2 "
    "--decoder-ffn-embed-dim 32 --decoder-attention-heads 2 --tokens-per-sample 32"
).split()
LSTM_LM = (
    "--task language_modeling --arch lstm_lm --decoder-embed-dim 16 --decoder-hidden-size 16 "
    "--decoder-out-embed-dim 16 --tokens-per-sample 32"
).split()


def sentences(language: str, other: str, count: int, seed: int) -> list[str]:
    draw = random.Random(f"{language}{other}{seed}")
    words = WORDS[language]
    if language == "de":  # so that English in pairs with German never says FA
        words = words[:5]
    return [" ".join(draw.choices(words, k=draw.randint(2, 7))) for _ in range(count)]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Binarised pairs de-en and fr-en with one dictionary, and German text of its own."""
    folder = tmp_path_factory.mktemp("several")
    every = sorted(word for words in WORDS.values() for word in words)
    # filling, and language tokens for those who have them in their dictionary
    lines = [*(f"{word} 9" for word in every), *(f"madeupword{i:04} 0" for i in range(6))]
    (folder / "dict.txt").write_text("".join(f"{line}\n" for line in lines))
    for number, split in enumerate(("train", "valid", "test")):
        for source in ("de", "fr"):
            said = sentences(source, "en", 60 if split == "train" else 8, number)
            heard = [" ".join(WORDS["en"][WORDS[source].index(w)] for w in s.split()) for s in said]
            for language, text in ((source, said), ("en", heard)):
                path = folder / f"{split}.{source}-en.{language}"
                path.write_text("\n".join(text) + "\n")
    for source in ("de", "fr"):
        run(
            "fairseq-preprocess", "-s", source, "-t", "en", "--joined-dictionary", "--srcdict",
            folder / "dict.txt", "--destdir", folder / source,
            *(f"--{s}pref={folder / s}.{source}-en" for s in ("train", "valid", "test")),
        )  # fmt: skip
        shutil.copytree(folder / source, folder / "bin", dirs_exist_ok=True)
    run(
        "fairseq-preprocess", "--only-source", "--srcdict", folder / "dict.txt", "--destdir",
        folder / "text", *(f"--{s}pref={folder / s}.de-en.de" for s in ("train", "valid", "test")),
    )  # fmt: skip
    return folder / "bin"


CASES: dict[str, tuple[str, list[str]]] = {
    "one model": ("bin", [*ONE_MODEL, *TRANSFORMER, *SHARED]),
    "one model, tables apart": ("bin", [*ONE_MODEL, *APART]),
    "mbart tokens": (
        "bin",
        [*ONE_MODEL, "--lang-tok-style", "mbart", *TRANSFORMER, *SHARED],
    ),
    "models": ("bin", [*MODELS, *TRANSFORMER, "--arch", "multilingual_transformer"]),
    "models, langtok": (
        "bin",
        [*MODELS, "--encoder-langtok", "tgt", *TRANSFORMER, "--arch", "multilingual_transformer",
         "--share-encoder-embeddings"],
    ),
    "models, shared": (
        "bin",
        [*MODELS, "--decoder-langtok", *APART, *SHARED, "--arch", "multilingual_transformer",
         "--share-encoders"],
    ),
    "lm": ("text", LM),
    "lm, tied": ("text", [*LM, "--share-decoder-input-output-embed"]),
    "lstm lm": ("text", LSTM_LM),
}  # fmt: skip


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory) -> Callable[[str], Path]:
    """Trains a model of CASES for a few updates, once; gives its checkpoint."""
    folder, made = tmp_path_factory.mktemp("trained"), dict[str, Path]()

    def get(name: str) -> Path:
        if name not in made:
            where, flags = CASES[name]
            save = folder / name.replace(" ", "-")
            train_here([data.parent / where, *COMMON, *flags, "--save-dir", save])
            made[name] = save / "checkpoint_last.pt"
        return made[name]

    return get


@pytest.fixture
def small(data, trained, tmp_path, call):
    """Cuts a model of CASES; gives checkpoint, folder and what was printed."""

    def cut(name: str, *flags: Any) -> tuple[Path, Path, str]:
        outputs = tmp_path / "small.pt", tmp_path / "small-bin"
        code, out, err = call(
            "vocab", trained(name), "--data", data.parent / CASES[name][0], "--output", outputs[0],
            "--output-data", outputs[1], *flags,
        )  # fmt: skip
        assert (code, err) == (0, ""), err
        return *outputs, out

    return cut


def outputs(checkpoint: Path, data: Path, pair: str) -> tuple[torch.Tensor, list[str]]:
    """What the model makes of the first validation sentences; and the tokens of its output."""
    from fairseq import checkpoint_utils
    from fairseq.data import data_utils

    models, _, task = checkpoint_utils.load_model_ensemble_and_task(
        [str(checkpoint)], arg_overrides={"data": str(data)}
    )
    model = models[0].eval().double()
    task.load_dataset("valid", combine=False, epoch=1)
    dataset = task.dataset("valid")
    if hasattr(dataset, "set_epoch"):
        dataset.set_epoch(1)
    if hasattr(dataset, "_ordered_indices"):
        with data_utils.numpy_seed(1):  # which of one length comes first
            dataset.ordered_indices()
    batch = dataset.collater([dataset[i] for i in range(min(6, len(dataset)))])
    dictionary = task.target_dictionary
    if hasattr(model, "models"):  # one for each pair
        batch, model = batch[pair], model.models[pair]
        dictionary = task.dicts[pair.split("-")[1]]
    with torch.no_grad():
        return model(**batch["net_input"])[0], list(dictionary.symbols)


def check(name: str, small: Any, trained: Any, data: Path, *flags: Any, pair: str = "de-en") -> Any:
    """Kept tokens have the logits that they had; gives the new folder and what was printed."""
    output, folder, out = small(name, *flags)
    before, old = outputs(trained(name), data.parent / CASES[name][0], pair)
    after, new = outputs(output, folder, pair)
    assert 4 < len(new) < len(old) and after.shape[-1] == len(new)
    rows = [old.index(token) for token in new]
    assert rows == sorted(rows)
    assert (before[..., rows] - after).abs().max() < 1e-12
    return folder, out


def follow(out: str) -> None:
    """Does what the last line says, in a process of its own without our user dir."""
    run(*shlex.split(out.splitlines()[-1].partition("; try ")[2]), "--cpu")


LEVENSHTEIN = (
    "--task translation_lev -s de -t en --arch cmlm_transformer --criterion nat_loss "
    "--noise random_mask"
).split()


@pytest.mark.slow
def test_a_model_that_is_not_autoregressive(data, tmp_path, call):
    flags = [*TRANSFORMER, *LEVENSHTEIN, "--share-all-embeddings"]
    train_here([data, *COMMON, *flags, "--save-dir", tmp_path / "run"])
    code, out, err = call(
        "vocab", tmp_path / "run" / "checkpoint_last.pt", "--data", data, "--output",
        tmp_path / "o.pt", "--output-data", tmp_path / "out",
    )  # fmt: skip
    assert (code, err) == (0, "")
    follow(out)


SLOW = {"mbart tokens", "models, langtok", "lm, tied", "one model, tables apart"}
EVERY = [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in CASES]


@pytest.mark.parametrize("name", EVERY)
def test_kept_tokens_have_the_logits_that_they_had(name, small, trained, data):
    check(name, small, trained, data)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_stock_fairseq_takes_the_printed_line(name, small):
    _, folder, out = small(name)
    follow(out)
    if name == "one model":
        shutil.rmtree(folder)
        follow(small(name, "--pairs", "de-en", "--force")[-1])


def symbols(folder: Path, language: str) -> list[str]:
    path = folder / (f"dict.{language}.txt" if language else "dict.txt")
    return [line.split()[0] for line in path.read_text().splitlines()]


def test_one_model_is_cut_to_the_pairs_that_are_asked_for(small, trained, data):
    folder, out = check("one model", small, trained, data, "--pairs", "de-en")
    wanted = sorted([*WORDS["de"][:5], *WORDS["en"][:5]])
    assert symbols(folder, "de") == symbols(folder, "en") == wanted
    assert not list(folder.glob("*fr*"))
    assert "de, en have one dictionary: it keeps what any of them uses" in out
    content = read(folder.with_name("small.pt"))
    task = vars(content["cfg"]["task"])
    assert task["lang_pairs"] == ["de-en"] and task["langs"] == ["fr", "de", "en", "it"]
    assert vars(content["cfg"]["model"])["lang_pairs"] == ["de-en"]
    # the language tokens are the last rows, as they were
    table = content["model"]["encoder.embed_tokens.weight"]
    assert torch.equal(table[-4:], read(trained("one model"))["model"][
        "encoder.embed_tokens.weight"][-4:])  # fmt: skip
    assert len(table) == 4 + 10 + 4


@pytest.mark.slow
def test_stock_fairseq_validates_what_is_left(small, data):
    """Its losses are what they were, but for the tokens that have no probability now."""
    output, folder, _ = small("one model", "--pairs", "de-en")
    task = ("--task", "translation_multi_simple_epoch", "--lang-pairs", "de-en")
    languages = ("--langs", "fr,de,en,it", "--encoder-langtok", "src", "--decoder-langtok")
    said = run(
        "fairseq-validate", folder, *task, *languages, "--path", output, "--cpu", "--valid-subset",
        "valid", "--batch-size", 4,
    )  # fmt: skip
    assert "valid on 'valid' subset" in said and "| loss " in said


def test_every_model_of_a_pair_stays_and_a_language_of_no_pair_stays_whole(small, trained, data):
    folder, out = check("models", small, trained, data, "--pairs", "de-en")
    assert symbols(folder, "de") == sorted(WORDS["de"][:5])
    assert symbols(folder, "en") == sorted(WORDS["en"][:5])
    assert (folder / "dict.fr.txt").read_bytes() == (data / "dict.fr.txt").read_bytes()
    assert "no pair that counts has fr: nothing was removed there" in out
    from fairseq.data import Dictionary, data_utils

    its = Dictionary.load(str(folder / "dict.en.txt"))
    text = [its.string(x) for x in data_utils.load_indexed_dataset(f"{folder}/train.fr-en.en", its)]
    assert any("<unk>" in line for line in text) and not any("FA" in line for line in text)


def test_shared_tables_keep_what_any_counted_language_uses(small, data, trained):
    folder, out = check("models, shared", small, trained, data, "--pairs", "de-en")
    wanted = sorted([*WORDS["de"][:5], *WORDS["en"][:5]])
    assert [symbols(folder, language) for language in ("de", "fr", "en")] == [wanted] * 3
    assert "nothing was removed there" not in out


def test_a_pruned_one_stays_verified(small, trained, tmp_path, data, call):
    half = tmp_path / "half.pt"
    for name in ("one model", "models"):
        flags = ("--prune-scheme", "class-uniform", "--prune-sparsity", "0.5", "--force")
        assert call("apply", trained(name), "--output", half, *flags)[0] == 0
        code, _, err = call(
            "vocab", half, "--data", data, "--output", tmp_path / "o.pt", "--output-data",
            tmp_path / name, "--pairs", "fr-en", "--force",
        )  # fmt: skip
        assert (code, err) == (0, "") and call("verify", tmp_path / "o.pt")[0] == 0
        before, after = masks_in(half), masks_in(tmp_path / "o.pt")
        assert set(before) == set(after) and before.prunable_in_all() > after.prunable_in_all()


def test_texts_of_pairs_and_of_a_language_model(small, trained, data, tmp_path):
    (tmp_path / "some.de").write_text("ab ba\n")
    (tmp_path / "some.en").write_text("AB\n")
    (tmp_path / "more.fr").write_text("xab\n")
    prefixes = (tmp_path / "some", tmp_path / "more")
    _, folder, _ = small("one model", "--corpus", *prefixes)
    assert symbols(folder, "de") == ["AB", "ab", "ba", "xab"]
    shutil.rmtree(folder)
    _, folder, _ = small("lm", "--corpus", tmp_path / "some.de", "--force")
    assert symbols(folder, "") == ["ab", "ba"]


@pytest.fixture
def refused(trained, data, tmp_path, call):
    """Calls vocab for a model of CASES, or for a file, which has to refuse; gives its sentence."""

    def cut(model: Any, *flags: Any, data: Path = data) -> str:
        path = trained(model) if model in CASES else model
        code, out, err = call(
            "vocab", path, "--data", data, "--output", tmp_path / "o.pt", "--output-data",
            tmp_path / "o", *flags,
        )  # fmt: skip
        assert (code, out, err.count("\n")) == (2, "", 1), (code, out, err)
        assert not (tmp_path / "o.pt").exists() and not (tmp_path / "o").exists()
        return err.removeprefix("fairseq-prune: ").rstrip("\n")

    return cut


def test_dictionaries_of_another_cut_are_not_left_there(trained, data, tmp_path, call):
    flags = ("vocab", trained("one model"), "--data", data, "--output", tmp_path / "o.pt")
    flags = (*flags, "--output-data", tmp_path / "out", "--dict-only", "--force")
    assert call(*flags)[0] == 0
    code, out, err = call(*flags, "--pairs", "de-en")
    assert (code, out) == (2, "")
    assert err == (
        f"fairseq-prune: --output-data {tmp_path}/out has dict.fr.txt, which is not among the new "
        "files and would not fit the new dictionary: remove it, or give another folder.\n"
    )


def test_pairs_that_are_not_there(refused, trained, data, tmp_path):
    path = trained("one model")
    assert refused("one model", "--pairs", "de-en,de-es") == (
        f"--pairs names es, which is no language of {path}; it knows fr, de, en, it."
    )
    assert refused("one model", "--pairs", "de") == (
        "--pairs has the language pair 'de': write SOURCE-TARGET."
    )
    assert refused("models", "--pairs", "de-fr") == (
        f"--pairs names de-fr, for which {trained('models')} has no model; it has de-en, fr-en, "
        "en-de."
    )
    assert refused("lm", "--pairs", "de-en", data=data.parent / "text") == (
        f"{trained('lm')} is no multilingual model, its task is language_modeling: leave --pairs "
        "out."
    )
    assert refused("one model", "--pairs", "de-fr") == (
        f"--data {data} has no binarised train split of de-fr to count tokens in: give --corpus "
        "PREFIX, text that is tokenised as the training data was, or leave it out of --pairs."
    )
    assert refused("one model", "--pairs", "de-it") == (
        f"--data {data} has no dict.it.txt: give the folder that the model was trained on, or "
        "--pairs with the pairs that it is for."
    )


def test_a_dictionary_of_another_model(refused, trained, data, tmp_path):
    other = shutil.copytree(data, tmp_path / "bin")
    for language in ("de", "en", "fr"):
        with (other / f"dict.{language}.txt").open("a") as file:
            file.write("more 1\n")
    size = len(symbols(data, "de")) + 4
    assert refused("one model", data=other) == (
        f"{other}/dict.de.txt has {size + 5} tokens, special ones and 4 that the task adds "
        f"included, and encoder.embed_tokens.weight of {trained('one model')} has {size + 4} rows: "
        "give --data the folder that the model was trained on."
    )


def changed(path: Path, folder: Path, **settings: Any) -> Path:
    """A checkpoint with other settings of its task."""
    content = read(path)
    task = vars(content["cfg"]["task"]) if hasattr(content["cfg"]["task"], "__dict__") else (
        content["cfg"]["task"])  # fmt: skip
    task.update(settings)
    torch.save(content, folder / "changed.pt")
    return folder / "changed.pt"


def test_what_cannot_be_cut_says_why(refused, trained, data, tmp_path):
    text = data.parent / "text"
    path = changed(trained("lm"), tmp_path, output_dictionary_size=9)
    content = read(path)
    softmax = "decoder.output_projection.weight"
    content["model"][softmax] = content["model"][softmax][:9].clone()
    path = tmp_path / "short.pt"
    torch.save(content, path)
    assert refused(path, data=text) == (
        f"{path} puts out the first 9 tokens of its dictionary only (--output-dictionary-size), so "
        "that tokens cannot be taken out of it by their use."
    )
    path = changed(trained("lm"), tmp_path, _name="masked_lm")
    assert refused(path, data=text).startswith(
        f"{path} was trained for the task masked_lm; give a checkpoint of the task translation, "
    )
    path = changed(trained("one model"), tmp_path, extra_data={"mined": "elsewhere"})
    assert refused(path) == (
        f"{path} was trained on more data than those of its pairs (--extra-data), which vocab does "
        "not read: give --pairs with the pairs whose tokens are to stay."
    )
    path = changed(trained("one model"), tmp_path, fixed_dictionary="gone.txt")
    assert refused(path) == (
        f"{path} has its dictionary in gone.txt (--fixed-dictionary, --source-dict or "
        "--target-dict), which is not there: put the file there again."
    )
    path = changed(trained("one model"), tmp_path, lang_dict="gone.txt", langs=None)
    assert refused(path) == (
        f"{path} has the order of its languages in gone.txt (--lang-dict), which cannot be read: "
        "put the file there again."
    )


@pytest.mark.parametrize("more", [("--character-embeddings",), ("--adaptive-softmax-cutoff", "8"),
                                  ("--adaptive-input", "--adaptive-input-cutoff", "8",
                                   "--adaptive-softmax-cutoff", "8")])  # fmt: skip
@pytest.mark.slow
def test_language_models_without_a_row_for_each_token(more, refused, data, tmp_path):
    text = data.parent / "text"
    adaptive = ("--criterion", "adaptive_loss", "--ddp-backend", "legacy_ddp")
    criterion = adaptive if "--adaptive-softmax-cutoff" in more else ()
    train_here([text, *COMMON, *LM, *more, *criterion, "--save-dir", tmp_path / "run"])
    path = tmp_path / "run" / "checkpoint_last.pt"
    what = "makes its input of the char" if "--char" in more[0] else "has an adaptive softmax or in"
    assert refused(path, data=text).startswith(f"{path} {what}")


@pytest.mark.slow
def test_language_tokens_in_the_dictionary_itself(data, tmp_path, call):
    """M2M's way, with the dictionary in a file of its own too."""
    own = shutil.copytree(data, tmp_path / "bin")
    dictionary = (data / "dict.de.txt").read_text() + "".join(f"__{x}__ 1\n" for x in ("de", "en"))
    (tmp_path / "model_dict.txt").write_text(dictionary + "madeupwordforbt 1\n")
    flags = [*ONE_MODEL[:2], "--lang-pairs", "de-en", "--langs", "de,en", *ONE_MODEL[4:-2]]
    flags += ["--fixed-dictionary", tmp_path / "model_dict.txt", *TRANSFORMER, *SHARED]
    train_here([own, *COMMON, *flags, "--save-dir", tmp_path / "run"])
    code, out, err = call(
        "vocab", tmp_path / "run" / "checkpoint_last.pt", "--data", own, "--output",
        tmp_path / "o.pt", "--output-data", tmp_path / "out",
    )  # fmt: skip
    assert (code, err) == (0, "")
    kept = sorted([*WORDS["de"][:5], *WORDS["en"][:5]])
    assert symbols(tmp_path / "out", "de") == [*kept, "__de__", "__en__"]
    before, old = outputs(tmp_path / "run" / "checkpoint_last.pt", own, "de-en")
    after, new = outputs(tmp_path / "o.pt", tmp_path / "out", "de-en")
    rows = [old.index(token) for token in new]
    assert (before[..., rows] - after).abs().max() < 1e-12
    follow(out)


# fairseq 0.12.2 itself cannot train these two, but opens those of earlier versions
def made(task: str, data: Path, path: Path) -> None:
    """A file as an earlier fairseq wrote it of a small, fresh BART for a task."""
    from argparse import Namespace

    from fairseq import tasks
    from fairseq.models import ARCH_CONFIG_REGISTRY, build_model

    sizes = dict.fromkeys(("embed_dim", "ffn_embed_dim"), 16)
    sizes |= {"layers": 1, "attention_heads": 2}
    args = Namespace(
        task=task, arch="bart_base", bpe=None, criterion="cross_entropy", optimizer="adam",
        seed=1, data=str(data), langs="de,en,fr", source_lang="de", target_lang="en",
        left_pad_source="True", left_pad_target="False", tokens_per_sample=32, mask=0.3,
        max_source_positions=64, max_target_positions=64, mask_length="subword",
        replace_length=1, mask_random=0.0, dataset_impl=None, shorten_method="none",
        shorten_data_split_list="", rotate=0.0, insert=0.0, sample_break_mode="complete_doc",
        permute_sentences=0.0, poisson_lambda=3.0,
        permute=0.0, prepend_bos=False, eval_bleu=False, train_subset="train", **{
            f"{side}_{name}": value for side in ("encoder", "decoder")
            for name, value in sizes.items()
        },
    )  # fmt: skip
    ARCH_CONFIG_REGISTRY["bart_base"](args)
    torch.manual_seed(1)
    model = build_model(args, tasks.setup_task(args))
    history = [{"criterion_name": "CrossEntropyCriterion", "num_updates": 4, "optimizer_name": "A",
                "lr_scheduler_state": {}}]  # fmt: skip
    content = {"args": args, "model": model.state_dict(), "optimizer_history": history}
    torch.save({**content, "extra_state": {"epoch": 1}, "last_optimizer_state": None}, path)


@pytest.mark.parametrize(
    "task",
    ["translation_from_pretrained_bart", pytest.param("denoising", marks=pytest.mark.slow)],
)
def test_what_the_task_adds_to_its_dictionary_stays(task, data, tmp_path, call):
    from fairseq import checkpoint_utils

    where = data.parent / "text" if task == "denoising" else data
    made(task, where, tmp_path / "m.pt")
    code, out, err = call(
        "vocab", tmp_path / "m.pt", "--data", where, "--output", tmp_path / "o.pt", "--output-data",
        tmp_path / "out",
    )  # fmt: skip
    assert (code, err) == (0, "")
    logits = []
    for path, folder in ((tmp_path / "m.pt", where), (tmp_path / "o.pt", tmp_path / "out")):
        (model,), _, task_ = checkpoint_utils.load_model_ensemble_and_task(
            [str(path)], arg_overrides={"data": str(folder)}
        )
        source, target = task_.source_dictionary, task_.target_dictionary
        tokens = [source.index(token) for token in ("ab", "ba", "<mask>", "ca", "</s>")]
        assert source.unk() not in tokens
        ids = torch.tensor([tokens])
        with torch.no_grad():
            found = model.eval().double()(ids, torch.tensor([5]), ids)[0]
        logits.append((found, list(target.symbols)))
    (before, old), (after, new) = logits
    assert new[-1] == "<mask>" and len(new) < len(old)
    assert task == "denoising" or new[-4:-1] == ["[de]", "[en]", "[fr]"]
    assert (before[..., [old.index(token) for token in new]] - after).abs().max() < 1e-12
    if task == "denoising":
        follow(out)
