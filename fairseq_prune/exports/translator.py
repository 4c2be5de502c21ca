"""CTranslate2 in a process of its own, which has neither torch nor fairseq in its memory.

So is an export run where it is deployed, and the process's peak of memory is the engine's. The two
processes write each other a line of JSON a call.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fairseq_prune.files.closing import Closing
from fairseq_prune.files.memory import peak_resident, reset_peak

Tokens = Sequence[Sequence[str]]  # of each sentence, without its end


class Translator(Closing):
    """A folder of CTranslate2's that is loaded; a context manager.

    Args:
        cuda: use a GPU, if CTranslate2 finds one.
        threads: on a CPU.
        shortlist: whether to decode over the words of the folder's shortlist; scores are of all
            words in any case.

    ``version`` is CTranslate2's, ``device`` is ``cpu`` or ``cuda``, ``compute_type`` is what it
    computes in.

    Raises ValueError, one sentence, where CTranslate2 cannot load the folder.
    """

    def __init__(self, folder: str, cuda: bool, threads: int, shortlist: bool = False) -> None:
        self._folder, self._shortlist = folder, shortlist
        package = Path(__file__).parents[1]
        paths = filter(None, (str(package.parent), os.environ.get("PYTHONPATH")))
        words = [sys.executable, "-m", __name__, folder, "cuda" if cuda else "cpu", str(threads)]
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )  # fmt: skip
        try:
            said = self._answer()
        except BaseException:
            self.close()
            raise
        self.version, self.device = str(said["version"]), str(said["device"])
        self.compute_type = str(said["compute_type"])

    def translate(
        self, sources: Tokens, beam: int, most: int, lenpen: float, least: int = 1
    ) -> list[list[str]]:
        """The best hypothesis of each sentence, its end left out.

        Args:
            sources: translated as one batch.
            most: tokens of a translation.
            lenpen: the exponent of the length by which scores are divided.
            least: tokens of a translation.
        """
        how = {"beam_size": beam, "max_decoding_length": most, "min_decoding_length": least,
               "length_penalty": lenpen, "use_vmap": self._shortlist}  # fmt: skip
        found: list[list[str]] = self._ask("translate", list(sources), how)
        return found

    def score(self, sources: Tokens, targets: Tokens) -> list[list[float]]:
        """The natural logarithm of the probability of each target token, and of the end."""
        found: list[list[float]] = self._ask("score", list(sources), list(targets))
        return found

    def reset_peak(self) -> None:
        """:func:`fairseq_prune.files.memory.reset_peak`, in the process that translates."""
        self._ask("reset_peak")

    def peak(self) -> int | None:
        """Of that process, :func:`fairseq_prune.files.memory.peak_resident`."""
        found: int | None = self._ask("peak")
        return found

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def _ask(self, name: str, *arguments: Any) -> Any:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps([name, *arguments]) + "\n")
            self._process.stdin.flush()
        except OSError:
            pass  # it has ended, as its answer says
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.endswith("\n"):
            raise ValueError(
                f"{self._folder}: CTranslate2 ended with code {self._process.wait()}; it may have "
                "had too little memory."
            )
        said = json.loads(line)
        if "error" in said:
            raise ValueError(f"{self._folder}: CTranslate2 says: {said['error']}.")
        return said["answer"]


def _serve(folder: str, device: str, threads: int) -> None:
    """Answer, a line each, what is asked on stdin, until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever else is printed

    def answer(make: Any, *arguments: Any) -> Any:
        try:
            said = {"answer": make(*arguments)}
        except (RuntimeError, ValueError, MemoryError) as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            said = {"error": lines[0].rstrip(".")[:300]}
        answers.write(json.dumps(said) + "\n")
        answers.flush()

    calls: Any = {}
    answer(lambda: _loaded(calls, folder, device, threads))
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        answer(calls[name], *arguments)


def _loaded(calls: Any, folder: str, device: str, threads: int) -> dict[str, str]:
    """Load the model, fill in what can be called, and say what it is."""
    import ctranslate2

    if device == "cuda" and not ctranslate2.get_cuda_device_count():
        device = "cpu"
    model: Any = ctranslate2.Translator(
        folder, device=device, inter_threads=1, intra_threads=threads
    )

    def translate(sources: Any, how: Any) -> Any:
        results = model.translate_batch(sources, max_input_length=0, **how)
        return [result.hypotheses[0] for result in results]

    def score(sources: Any, targets: Any) -> Any:
        results = model.score_batch(sources, targets, max_input_length=0)
        return [result.log_probs for result in results]

    calls.update(translate=translate, score=score, peak=peak_resident, reset_peak=reset_peak)
    return {
        "version": ctranslate2.__version__, "device": model.device,
        "compute_type": model.compute_type,
    }  # fmt: skip


if __name__ == "__main__":
    _serve(sys.argv[1], sys.argv[2], int(sys.argv[3]))
