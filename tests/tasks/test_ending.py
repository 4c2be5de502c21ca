"""What a user sees where fairseq's programs end early: one sentence, or what to send."""

from pathlib import Path
from typing import Any

import pytest
from fairseq.distributed import utils as distributed
from fairseq.distributed.utils import FairseqConfig
from torch.multiprocessing.spawn import ProcessRaisedException, spawn

from fairseq_prune import register
from fairseq_prune.pruning.refusal import Refusal, one_sentence
from fairseq_prune.tasks._hooks import PruningHooks
from tests.conftest import BIN, LSTM, ROOT, TRAINING, run

register()


def ended(error: Exception, capsys: pytest.CaptureFixture[str]) -> tuple[Any, str]:
    """The exit code and what is said where fairseq's program ends with an error."""

    def main(cfg: Any) -> None:
        raise error

    with pytest.raises(SystemExit) as end:
        distributed.call_main(FairseqConfig(), main)
    return end.value.code, capsys.readouterr().err


def test_a_refusal_is_one_sentence_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(Refusal("no."), capsys) == (2, "fairseq_prune: no.\n")


def test_a_refusal_passes_on_unchanged() -> None:
    with pytest.raises(ValueError, match="^fairseq_prune: no.$"), one_sentence():
        raise Refusal("no.")


def refuse(rank: int) -> None:
    raise Refusal(f"rank {rank} says no.")


@pytest.mark.slow
def test_one_of_several_processes_says_no(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ProcessRaisedException) as raised:
        spawn(refuse, nprocs=1)
    assert ended(raised.value, capsys) == (2, "fairseq_prune: rank 0 says no.\n")


def test_an_error_of_others_is_theirs() -> None:
    def main(cfg: Any) -> None:
        raise KeyError("theirs")

    with pytest.raises(KeyError):
        distributed.call_main(FairseqConfig(), main)
    with pytest.raises(ProcessRaisedException):
        distributed.call_main(FairseqConfig(), _raise_another)


def _raise_another(cfg: Any) -> None:
    raise ProcessRaisedException("Traceback\nKeyError: 1", 0, 1)


def test_a_bug_of_ours_says_what_to_send(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fairseq_prune.tasks._hooks.root_of", lambda _: 1 // 0)
    with pytest.raises(SystemExit) as end:
        distributed.call_main(FairseqConfig(), lambda cfg: PruningHooks.setup_task(cfg.task))
    lines = capsys.readouterr().err.splitlines()
    assert end.value.code == 1
    assert lines[0].startswith("Traceback") and "ZeroDivisionError" in lines[-2]
    assert lines[-1].startswith("fairseq_prune: this is a bug; send ")
    assert all(word in lines[-1] for word in ("fairseq_prune ", "Python 3.", "torch ", "fairseq "))


HALVING = [*LSTM, *TRAINING, "--lr-scheduler", "halving", "--halve-after", "0.5"]


def test_a_flag_that_fairseq_hands_over_late_is_one_sentence(corpus: Path, tmp_path: Path) -> None:
    flags = [corpus, *HALVING, "--save-dir", tmp_path, "--user-dir", ROOT / "fairseq_prune"]
    text = run("fairseq-train", *flags, fails=True)
    assert text.splitlines()[-1].startswith("fairseq_prune: --halve-after 0.5 is below 1: ")
    assert "Traceback" not in text and not list(tmp_path.iterdir())


@pytest.mark.parametrize("plugin", [[], ["--user-dir", ROOT / "fairseq_prune"]])
@pytest.mark.slow
def test_a_checkpoint_that_is_refused_ends_decoding_with_one_sentence(
    plugin: list[Any], corpus: Path, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.pt"
    cut.write_bytes(b"PK\3\4" + bytes(99))
    for program in ("fairseq-generate", "fairseq-validate"):
        words = [program, corpus, "--task", "translation", "--path", cut, "--batch-size", 8]
        text = run(*words, *plugin, fails=True)
        assert f"fairseq_prune: {cut} is not a checkpoint that can be read" in text
        assert "Traceback" not in text


def test_a_refusal_while_decoding_has_the_same_exit_code(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fairseq_cli import generate

    def refuse(args: Any) -> None:
        raise Refusal("no.")

    monkeypatch.setattr(generate, "main", refuse)
    register()
    with pytest.raises(SystemExit) as end:
        generate.main(None)
    assert end.value.code == 2


@pytest.mark.slow
def test_the_same_under_torchrun(corpus: Path, tmp_path: Path) -> None:
    flags = [corpus, *HALVING, "--save-dir", tmp_path, "--user-dir", ROOT / "fairseq_prune"]
    start = ["--standalone", "--nproc_per_node=2", BIN / "fairseq-train"]
    backend = ["--distributed-backend", "gloo", "--ddp-backend", "legacy_ddp"]
    text = run("torchrun", *start, *flags, *backend, fails=True)
    own, _, torchrun = text.partition("ChildFailedError")
    assert "fairseq_prune: --halve-after 0.5 is below 1: " in text
    assert "halving.py" not in own and "exitcode  : 2" in torchrun
