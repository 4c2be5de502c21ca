"""The command line itself: help, version, interruption, start-up."""

import dataclasses
import inspect
import os
import re
import subprocess
import sys

import pytest

from fairseq_prune import __version__
from fairseq_prune.cli import apply
from fairseq_prune.cli.main import COMMANDS, build_parser
from fairseq_prune.files.registry import Lazy
from fairseq_prune.maths.schemes import ALLOCATIONS
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.pruning.refusal import Refusal
from fairseq_prune.saliency import SALIENCIES, UNIT_SALIENCIES

CLASSES = [name for name in ALLOCATIONS if name.startswith("class-")]
FLAGS = ["--prune-" + f.name.replace("_", "-") for f in dataclasses.fields(Recipe)]


def test_help_lists_every_command_and_no_prune_flag(call):
    code, out, _ = call("--help")
    assert code == 0
    for word in COMMANDS:
        assert re.search(rf"^ +{word}\s", out, re.MULTILINE)
    assert "--prune" not in out and "fairseq-prune flags" in out


def test_flags_lists_every_prune_flag(call):
    code, out, _ = call("flags")
    assert code == 0
    for flag in (*FLAGS, "--prune-override"):
        assert f"  {flag} " in out


@pytest.mark.parametrize("name", ["apply", "sensitivity", "tickets", "retrain"])
def test_help_has_the_prune_flags_that_mean_something_there(call, name):
    _, out, _ = call(name, "--help")
    for f in dataclasses.fields(Recipe):
        shown = f"  --prune-{f.name.replace('_', '-')} " in out
        assert shown == (name == "retrain" or not f.metadata["timed"]), f.name
    assert ("--prune-override" in out) == (name == "retrain")
    for scheme in ALLOCATIONS:
        assert scheme in out
    assert "Frankle" not in out or name == "tickets"  # what they do is said by `flags`


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help_with_examples(name, call):
    code, out, _ = call(name, "--help")
    assert code == 0
    assert "examples:" in out
    assert re.search(rf"^  {name} +\w", call("--help")[1], re.MULTILINE)


@pytest.mark.parametrize("flag", ["-V", "--version"])
def test_version(call, flag):
    assert call(flag)[:2] == (0, f"fairseq_prune {__version__}\n")


def test_without_a_command_it_says_what_to_type(call):
    code, out, err = call()
    assert (code, err) == (0, "")
    typed = re.findall(r"  fairseq-prune (.*)", out)
    assert len(typed) == 9
    for words in typed:
        words = words.replace("FORMAT", "compact")
        build_parser().parse_args(re.split(" [<>] ", words)[0].split())


def test_it_runs_as_a_module():
    words = [sys.executable, "-m", "fairseq_prune", "-V"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, f"fairseq_prune {__version__}\n")


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("fairseq-prune retr", {"retrain"}),
        ("fairseq-prune apply dense.pt --prune-sch", {"--prune-scheme", "--prune-schedule"}),
        ("fairseq-prune apply dense.pt --prune-scheme class-", {*CLASSES}),
    ],
)
def test_a_shell_completes_it(line, wanted, tmp_path):
    pytest.importorskip("argcomplete", reason="pip install argcomplete")
    found = tmp_path / "found"
    environment = {
        **os.environ, "_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)),
        "_ARGCOMPLETE_STDOUT_FILENAME": str(found), "_ARGCOMPLETE_IFS": "\n",
    }  # fmt: skip
    words = [sys.executable, "-m", "fairseq_prune"]
    subprocess.run(words, env=environment, timeout=60, check=True)
    assert {word.strip() for word in found.read_text().split("\n")} <= wanted
    assert wanted - {"--prune-schedule"} <= {w.strip() for w in found.read_text().split("\n")}


def test_ctrl_c_is_no_traceback_and_leaves_nothing(dense, tmp_path, call, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("torch.save", interrupt)
    output = tmp_path / "out.pt"
    code, out, err = call("apply", dense, "--output", output, "--prune-scheme", "erk")
    assert (code, out, err) == (130, "", "fairseq-prune: interrupted.\n")
    assert [path.name for path in tmp_path.iterdir()] == ["dense.pt"]


def test_an_error_that_is_not_the_users_is_not_hidden(dense, call, monkeypatch):
    def broken(*_):
        raise TypeError("a bug")

    monkeypatch.setattr(apply, "apply_recipe", broken)
    code, out, err = call("apply", dense, "--dry-run", "--prune-scheme", "class-blind")
    assert (code, out) == (1, "")
    *_, error, last = err.splitlines()
    assert err.startswith("Traceback") and error == "TypeError: a bug"
    assert last.startswith("fairseq_prune: this is a bug; send ") and "torch" in last


def test_a_refusal_of_the_plugin_is_said_by_one_name(dense, call, monkeypatch):
    def refuse(*_):
        raise Refusal("no.")

    monkeypatch.setattr(apply, "apply_recipe", refuse)
    arguments = ("apply", dense, "--dry-run", "--prune-scheme", "class-blind")
    assert call(*arguments) == (2, "", "fairseq-prune: no.\n")


def test_a_reader_that_goes_away_is_fine(dense):
    inspect = f"{sys.executable} -m fairseq_prune.cli.main inspect {dense}"
    command = f"{inspect} | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("141\n", "")


WITHOUT = """
import sys

class Refuse:
    @staticmethod
    def find_spec(name, path=None, target=None):
        assert name.partition(".")[0] not in {"torch", "numpy", "fairseq", "hydra"}, name

sys.meta_path.insert(0, Refuse)
from fairseq_prune.cli.main import main

def ends(*words):
    try:
        return main(words)
    except SystemExit as stop:
        return stop.code
"""


def without_torch(code):
    """What a process says in which torch, numpy and fairseq cannot be imported."""
    words = [sys.executable, "-c", WITHOUT + code]
    return subprocess.run(words, capture_output=True, text=True, timeout=60)


def test_help_and_version_do_without_torch_and_fairseq():
    words = [["--help"], ["--version"], ["flags"], *([name, "--help"] for name in COMMANDS)]
    words += [["study", action, "--help"] for action in ("run", "plan", "status", "clean")]
    done = without_torch(f"print([ends(*words) for words in {words}])")
    assert done.stdout.splitlines()[-1] == str([0] * len(words)), done.stderr


def test_wrong_arguments_are_refused_without_torch_and_fairseq():
    words = [["no-such"], ["verify"], ["inspect", "a.pt", "--no-such"], ["bench", "a.pt"]]
    words += [["apply", "a.pt", f"--prune-{what}", "no-such"] for what in ("scheme", "saliency")]
    done = without_torch(f"print([ends(*words) for words in {words}])")
    assert done.stdout == f"{[2] * len(words)}\n"
    assert done.stderr.count("\n") == len(words) and "fairseq-prune: " in done.stderr


def test_what_registries_offer_before_it_is_imported_is_there():
    entries = {**SALIENCIES, **{f"{name} of units": e for name, e in UNIT_SALIENCIES.items()}}
    functions = {name: entry.score for name, entry in entries.items()}
    functions |= {name: entry.allocate for name, entry in ALLOCATIONS.items()}
    for name, function in functions.items():
        assert isinstance(function, Lazy), name
        assert inspect.isfunction(function.load()), name
