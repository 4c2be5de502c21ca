"""What the shell scripts of a recipe have to know, as assignments for bash.

eval "$(python -m scripts.recipe.facts iwslt15 --model lstm --out runs/iwslt15 --section dense)"
"""

import argparse
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from fairseq_prune.study.model_file import ALWAYS, read_flags
from scripts.corpus.declaration import Corpus, read
from scripts.recipe.ranks import Ranks

MODELS = Path(__file__).resolve().parents[2] / "configs" / "train"


def facts(corpus: Corpus, model: str, out: Path) -> dict[str, object]:
    """Names, places, and how the model is evaluated."""
    known = sorted(path.stem for path in (MODELS / corpus.name).glob("*.yaml"))
    model = model or corpus.vocabularies[0].models[0]
    if model not in known:
        raise ValueError(f"MODEL={model} is none of {', '.join(known)} (configs/train).")
    data = out / "data"
    evaluate, results = ["classify"], "accuracy.jsonl"
    vocabulary = corpus.vocabulary(model)
    if corpus.languages:
        evaluate, results = ["evaluate"], "results.jsonl"
        evaluate += [f"--{key}={value}" for key, value in (corpus.evaluate or {}).items()]
        evaluate.append(f"--text={corpus.scored_as}")
        if vocabulary.pieces is not None:
            evaluate.append("--remove-bpe=sentencepiece")
        if corpus.text == "raw" and not corpus.lowercase:
            evaluate.append(f"--reference={data / 'raw' / f'test.{corpus.languages[1]}'}")
    return {
        "title": corpus.title,
        "model": model,
        "out": str(out),
        "data": str(data / f"data-bin-{vocabulary.name}"),
        "evaluate": evaluate,
        "results": str(out / results),
    }


def training(
    corpus: Corpus, model: str, section: str, out: Path, data: str, ranks: Ranks
) -> dict[str, object]:
    """How fairseq-train is started, and its flags."""
    flags = read_flags(MODELS / corpus.name / f"{model}.yaml", [ALWAYS, section])
    seed = os.environ.get("SEED") or "1"
    words = [  # OUT/ in a configuration is the recipe's folder
        f"{out}/{word[4:]}".replace("SEED", seed) if word.startswith("OUT/") else word
        for word in flags.words(data)
    ]
    if flags.get("task") is None:
        words = ["--task", "translation", *words]
    if corpus.languages and "--source-lang" not in words:
        words += ["-s", corpus.languages[0], "-t", corpus.languages[1]]
    return {"launch": ranks.launch(), "flags": ranks.shared(words)}


def scoring(saliency: str, data: str) -> list[str]:
    """Data for a saliency that looks at more than the weights; raises ValueError for none."""
    if saliency in ("", "magnitude", "random"):
        return []
    # with torch, whose import takes seconds
    from fairseq_prune.pruning.recipe import Recipe
    from fairseq_prune.saliency import every_name

    recipe = Recipe(scheme="class-blind", saliency=saliency, sparsity=0.5)
    if saliency not in every_name():
        recipe.check()
    return ["--data", data] if recipe.looks else []


def assignments(values: Mapping[str, object]) -> str:
    """Lines of bash."""
    lines = []
    for name, value in values.items():
        words = [shlex.quote(word) for word in value] if isinstance(value, list) else None
        lines.append(f"{name}=({' '.join(words)})" if words is not None else _plain(name, value))
    return "\n".join(lines)


def _plain(name: str, value: object) -> str:
    return f"{name}={shlex.quote(str(value))}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code, after printing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus")
    parser.add_argument("--model", default="")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--section", default="", help="of the model's configuration, to train")
    options = parser.parse_args(arguments)
    try:
        corpus, out = read(options.corpus), options.out.absolute()
        found = facts(corpus, options.model, out)
        model, data = str(found["model"]), str(found["data"])
        found["score_on"] = scoring(os.environ.get("SALIENCY", ""), data)
        if options.section:
            ranks = Ranks.of(os.environ)
            found |= training(corpus, model, options.section, out, data, ranks)
    except ValueError as error:
        print(f"{options.corpus}: {error}", file=sys.stderr)
        return 2
    print(assignments(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
