"""An independent check: the same network and training in plain torch, without fairseq.

    python scripts/ag_news/independent.py --train train.csv --test test.csv [--seeds 1 2 3]

As in PyTorch's text classification tutorial: nn.EmbeddingBag (mean), nn.Linear, uniform weights,
SGD at 5, a tenth of it whenever validation accuracy falls, clipping at 0.1, batches of 64, 10
epochs. The rows, their words and the split are those of binarise.py; nothing else is shared with
fairseq or with this package. Unlike there, the rate decays, there is no ``</s>``, and texts are
put into batches anew every epoch.
Test accuracy is that of the epoch with the best validation accuracy, as for checkpoint_best.pt.
"""

import argparse
import copy
import statistics
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import torch
from binarise import Example, examples, split
from torch import Tensor, nn

Encoded = list[tuple[int, Tensor]]  # class from 0, (words,)


class Classifier(nn.Module):
    """A bag of embeddings and a linear layer."""

    def __init__(self, size: int, width: int = 64, classes: int = 4) -> None:
        super().__init__()
        self.embedding = nn.EmbeddingBag(size, width, mode="mean")
        self.fc = nn.Linear(width, classes)
        for weight in (self.embedding.weight, self.fc.weight):
            nn.init.uniform_(weight, -0.5, 0.5)
        nn.init.zeros_(self.fc.bias)

    def forward(self, text: Tensor, offsets: Tensor) -> Tensor:
        """(batch, classes) of texts one after another, each beginning at its offset."""
        logits: Tensor = self.fc(self.embedding(text, offsets))
        return logits


def encode(rows: list[Example], numbers: dict[str, int]) -> Encoded:
    """The rows as numbers; words that are not known are 0."""
    return [
        (int(label) - 1, torch.tensor([numbers.get(w, 0) for w in text])) for label, text in rows
    ]


def batches(data: Encoded, order: list[int], size: int = 64) -> Iterator[tuple[Tensor, ...]]:
    """Yields labels, texts and offsets."""
    for start in range(0, len(order), size):
        rows = [data[i] for i in order[start : start + size]]
        lengths = torch.tensor([0] + [len(text) for _, text in rows[:-1]])
        labels = torch.tensor([label for label, _ in rows])
        yield labels, torch.cat([text for _, text in rows]), lengths.cumsum(dim=0)


def accuracy(model: nn.Module, data: Encoded) -> float:
    """In per cent."""
    with torch.no_grad():
        right = sum(
            int((model(text, offsets).argmax(1) == labels).sum())
            for labels, text, offsets in batches(data, list(range(len(data))))
        )
    return 100 * right / len(data)


def train(data: dict[str, Encoded], size: int, seed: int, epochs: int) -> tuple[float, float]:
    """The best validation accuracy, and the test accuracy of that epoch."""
    torch.manual_seed(seed)
    model = Classifier(size)
    optimizer = torch.optim.SGD(model.parameters(), lr=5.0)
    decay = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.1)
    best, kept = -1.0, copy.deepcopy(model.state_dict())
    for _ in range(epochs):
        order = torch.randperm(len(data["train"])).tolist()
        for labels, text, offsets in batches(data["train"], order):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(text, offsets), labels).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.1)
            optimizer.step()
        now = accuracy(model, data["valid"])
        if now > best:
            best, kept = now, copy.deepcopy(model.state_dict())
        else:
            decay.step()
    model.load_state_dict(kept)
    return best, accuracy(model, data["test"])


def main() -> int:
    """Train and print; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--train", type=Path, required=True, metavar="FILE")
    parser.add_argument("--test", type=Path, required=True, metavar="FILE")
    parser.add_argument("--valid-share", type=float, default=0.05)
    parser.add_argument("--split-seed", type=int, default=1, help="binarise.py's --seed")
    parser.add_argument("--min-count", type=int, default=1, help="as for binarise.py")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    arguments = parser.parse_args()
    rows, valid = split(examples(arguments.train), arguments.valid_share, arguments.split_seed)
    counts = Counter(word for _, text in rows for word in text)
    known = sorted(word for word, count in counts.items() if count >= arguments.min_count)
    numbers = {word: number for number, word in enumerate(known, 1)}
    splits = {"train": rows, "valid": valid, "test": examples(arguments.test)}
    data = {name: encode(its, numbers) for name, its in splits.items()}
    found = []
    for seed in arguments.seeds:
        best, test = train(data, len(numbers) + 1, seed, arguments.epochs)
        found.append(test)
        print(f"seed {seed}: valid {best:.2f}, test {test:.2f}", flush=True)
    spread = statistics.stdev(found) if len(found) > 1 else 0.0
    print(f"test accuracy {statistics.fmean(found):.2f} ± {spread:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
