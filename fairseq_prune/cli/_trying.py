"""The command of stock fairseq that opens what ``fairseq-prune vocab`` wrote."""

import shlex
from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any

from fairseq_prune.checkpoints.languages import A_MODEL_A_PAIR, ONE_MODEL, TEXT, Vocabularies
from fairseq_prune.checkpoints.widths import STOCK
from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.models import TRAINABLE
from fairseq_prune.network.options import architecture, task_options


def to_try(
    content: Mapping[str, Any],
    its: Vocabularies,
    arguments: Namespace,
    names: Sequence[str],
    shared: bool,
) -> str | None:
    """The command that evaluates a checkpoint, or binarises data for it where there are none.

    None where fairseq 0.12.2 has no such command.

    Args:
        content: of the checkpoint that was cut.
        arguments: of vocab: where the checkpoint and its data are now.
        names: of the splits that are there.
        shared: whether all dictionaries are one.
    """
    output, folder = arguments.output, arguments.output_data
    if not names:
        return _to_binarise(its, folder, shared)
    subset = "test" if "test" in names else names[-1]
    stock = architecture(content) not in (*TRAINABLE, *STOCK)
    where = [] if stock else ["--user-dir", "fairseq_prune"]
    where += ["--path", output]
    if its.task == "denoising":
        more = ["--valid-subset", subset, "--batch-size", "8"]
        return shlex.join(["fairseq-validate", folder, "--task", its.task, *where, *more])
    more = [] if subset == "test" else ["--gen-subset", subset]
    if TEXT in its.languages:
        return shlex.join(["fairseq-eval-lm", folder, *where, *more])
    if its.task == "translation_from_pretrained_bart":
        return None  # its task cannot load data: it reads an attribute that it does not have
    pair = [its.languages[key] for key in its.counted[0]]
    words = ["fairseq-generate", folder, *_task(content, its), "-s", pair[0], "-t", pair[1]]
    join = Settings(data=folder, target_lang=pair[1]).joining()
    return shlex.join([*words, *where, *more, "--beam", "5", *join])


def _task(content: Mapping[str, Any], its: Vocabularies) -> list[str]:
    """The flags that fairseq-generate wants again, since it does not read them in the file."""
    if its.task == "translation":
        return []
    words, options = ["--task", its.task], task_options(content)
    if its.task in (ONE_MODEL, A_MODEL_A_PAIR):
        words += ["--lang-pairs", ",".join("-".join(pair) for pair in its.every)]
    saved = {**{name: options.get(name) for name in _SAID}, **its.settings}
    for name in _SAID:
        value = saved[name]
        if value in (None, False, _SAID[name]):
            continue
        text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        words += [f"--{name.replace('_', '-')}", *([] if value is True else [text])]
    return words


# flags of the tasks, and what they are where nothing is said
_SAID: Mapping[str, Any] = {
    "langs": None,
    "lang_dict": None,
    "encoder_langtok": None,
    "decoder_langtok": None,
    "lang_tok_style": "multilingual",
    "langtoks_specs": ["main"],
    "lang_tok_replacing_bos_eos": None,
    "prepend_bos": None,
}


def _to_binarise(its: Vocabularies, folder: str, shared: bool) -> str:
    """The command that binarises data with the dictionaries in a folder."""
    texts = ["--testpref", "PREFIX", "--destdir", "FOLDER"]
    if TEXT in its.languages:
        words = ["--only-source", "--srcdict", f"{folder}/dict.txt"]
        return shlex.join(["fairseq-preprocess", *words, *texts])
    source, target = its.counted[0]
    pair = ["-s", its.languages[source], "-t", its.languages[target]]
    one, other = (f"{folder}/{its.file_of(key)}" for key in (source, target))
    joined = ["--joined-dictionary"] if shared else ["--tgtdict", other]
    return shlex.join(["fairseq-preprocess", *pair, "--srcdict", one, *joined, *texts])
