"""Weight classes: which group of weights a matrix belongs to, from its name alone.

See, Luong & Manning (2016), section 3.3, split a 4-layer LSTM into 12 classes: source and target
embedding, one class for each source and target layer, attention, softmax. The Transformer, fconv
and lightconv rows below are their counterparts.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from fairseq_prune.network.patterns import Pattern

GRANULARITIES = ("paper", "layer", "component", "tensor")

BERT = r"encoder\.bert\.network\."  # a BERT that is part of the model
BERT_ATTENTION = r"\.bert_attn\."  # in each layer, to what a BERT puts out

# (pattern, class); {k} is the layer, counted from 1 as the paper does. First match wins.
_PATTERNS: tuple[tuple[str, str], ...] = (
    (r"encoder(\.\w+)*\.embed_tokens\.", "source-embedding"),
    (r"decoder\.embed_tokens\.", "target-embedding"),
    (r"decoder\.(fc_out|output_projection|adaptive_softmax|fc3)\.", "softmax"),
    (r"decoder\.embed_out$", "softmax"),
    (r"classification_heads\.[^.]+\.(out_proj\.)?weight$", "softmax"),
    # LSTM
    (r"encoder\.lstm\.weight_[ih]h_l(?P<k>\d+)(_reverse)?$", "source-layer-{k}"),
    (r"decoder\.layers\.(?P<k>\d+)\.weight_[ih]h$", "target-layer-{k}"),
    (r"decoder\.lstm\.weight_[ih]h_l(?P<k>\d+)$", "target-layer-{k}"),
    (r"decoder\.attention\.(input|output)_proj\.", "attention"),
    # BERT-fused Transformer
    (rf"encoder\.layers\.(?P<k>\d+)\.self_attn{BERT_ATTENTION}", "source-layer-{k}.bert-attention"),
    (rf"decoder\.layers\.(?P<k>\d+)\.\w+{BERT_ATTENTION}", "target-layer-{k}.bert-attention"),
    (rf"{BERT}(\w+\.)*layer\.(?P<k>\d+)\.attention\.", "bert-layer-{k}.self-attention"),
    (rf"{BERT}(\w+\.)*layer\.(?P<k>\d+)\.", "bert-layer-{k}.ffn"),
    (rf"{BERT}(\w+\.)*word_embeddings\.", "bert-embedding"),
    # Transformer, lightconv
    (
        r"encoder(\.\w+)*\.(transformer_)?layers\.(?P<k>\d+)\.self_attn\.",
        "source-layer-{k}.self-attention",
    ),
    (r"decoder\.layers\.(?P<k>\d+)\.self_attn\.", "target-layer-{k}.self-attention"),
    (r"decoder\.layers\.(?P<k>\d+)\.encoder_attn\.", "target-layer-{k}.cross-attention"),
    (r"encoder(\.\w+)*\.(transformer_)?layers\.(?P<k>\d+)\.fc[12]\.", "source-layer-{k}.ffn"),
    (r"decoder\.layers\.(?P<k>\d+)\.fc[12]\.", "target-layer-{k}.ffn"),
    (r"encoder\.layers\.(?P<k>\d+)\.(conv|linear[12])\.", "source-layer-{k}.conv"),
    (r"decoder\.layers\.(?P<k>\d+)\.(conv|linear[12])\.", "target-layer-{k}.conv"),
    # fconv
    (r"encoder\.(convolutions|projections)\.(?P<k>\d+)\.", "source-layer-{k}.conv"),
    (r"decoder\.(convolutions|projections)\.(?P<k>\d+)\.", "target-layer-{k}.conv"),
    (r"decoder\.attention\.(?P<k>\d+)\.", "target-layer-{k}.cross-attention"),
)


def paper_class(name: str) -> str:
    """The weight class of See et al. (2016), or its counterpart, for one weight name.

    A prefix, such as ``models.de-en.`` of a model of several language pairs, changes nothing. An
    unknown matrix is a class of its own, named by its module: nothing is dropped silently.
    """
    own = name[len(prefix_of(name)) :]
    for pattern, label in _PATTERNS:
        match = re.match(pattern, own)
        if match:
            layer = match.groupdict().get("k")
            return label.format(k=int(layer) + 1) if layer is not None else label
    return re.sub(r"\.(weight|weight_v)$", "", name)


def prefix_of(name: str) -> str:
    """What stands before the encoder or decoder that a name lies in; "" where nothing does."""
    found = re.match(r"(?:[^.]+\.)*?(?=(?:encoder|decoder)\.)", name)
    return found[0] if found else ""


def prefixes_of(names: Iterable[str]) -> set[str]:
    """The prefixes of all names that have one."""
    return set(map(prefix_of, names)) - {""}


def part_of(names: Iterable[str], every: Collection[str]) -> str:
    """Which of several models in one a weight with these names belongs to: ``de-en/``, say.

    It is "" where there is one model, and for what all of them share.

    Args:
        every: the prefixes of all the model's weights.
    """
    own = [prefix for prefix in dict.fromkeys(map(prefix_of, names)) if prefix]
    if not own or len(every) < 2 or set(own) >= set(every):
        return ""
    return "+".join(prefix.rstrip(".").rpartition(".")[2] for prefix in own) + "/"


def _tied_class(labels: Iterable[str]) -> str:
    """One class for a tensor that several modules share."""
    known = list(dict.fromkeys(labels))
    sides = [label for label in known if label.endswith("-embedding")]
    if len(sides) > 1:
        return "shared-embedding"
    return sides[0] if sides else known[0]


def coarser(label: str, granularity: str) -> str:
    """The paper's class in another granularity."""
    if granularity == "layer":
        return label.partition(".")[0] if "-layer-" in label else label
    if granularity == "component":
        return re.sub(r"-layer-\d+", "-layers", label)
    return label


def read_rules(path: str | Path) -> list[tuple[str, Pattern]]:
    """Rules (class, compiled pattern) from a file with one ``CLASS REGEX`` a line; # comments.

    Raises ValueError with file, line number and text for a line that is not such a rule.
    """
    rules = []
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"--prune-classes {path} is neither one of {', '.join(GRANULARITIES)} "
            f"nor a readable text file of rules ({error})."
        ) from None
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        label, _, pattern = text.partition(" ")
        try:
            if not pattern.strip():
                raise ValueError("no pattern after the class name")
            rules.append((label, Pattern(pattern.strip())))
        except ValueError as error:
            raise ValueError(
                f"{path} line {number}: {text!r} is not `CLASS REGEX` ({error})."
            ) from None
    if not rules:
        raise ValueError(f"{path} holds no rule: write one `CLASS REGEX` a line.")
    return rules


def first_rule(rules: Iterable[tuple[str, Pattern]], names: Iterable[str]) -> str | None:
    """The class of the first rule that matches any of the names; None where none does."""
    every = list(names)
    return next((label for label, rule in rules if any(map(rule.search, every))), None)


def classify(names: Mapping[str, Iterable[str]], granularity: str = "paper") -> dict[str, str]:
    """Weight class of each name.

    Args:
        names: each weight's name and all the names it goes by (tied tensors have several).
        granularity: ``paper``, ``layer`` (one class a layer), ``component`` (the same part of
            all layers together), ``tensor``, or the path of a file of rules (:func:`read_rules`),
            whose first match on any of a weight's names wins over the paper's class.
    """
    if granularity == "tensor":
        return {name: name for name in names}
    rules = [] if granularity in GRANULARITIES else read_rules(granularity)
    classes = {}
    names = {name: list(aliases) for name, aliases in names.items()}
    prefixes = prefixes_of(alias for aliases in names.values() for alias in aliases)
    for name, every in names.items():
        part = part_of(every, prefixes)
        label = coarser(_tied_class(map(paper_class, every)), granularity)
        classes[name] = first_rule(rules, every) or part + label
    return classes
