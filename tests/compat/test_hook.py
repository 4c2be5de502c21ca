"""The start-up hook, in fresh interpreters that see stand-ins for fairseq and hydra."""

import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import _fairseq_prune_compat
import pytest
from _fairseq_prune_compat import hook

NEW_RULES = sys.version_info >= (3, 11)  # an unhashable default is refused
Run = Callable[..., "subprocess.CompletedProcess[str]"]
PTH = Path(sysconfig.get_path("purelib")) / "fairseq_prune_compat.pth"


def test_nothing_happens_without_fairseq(python: Run) -> None:
    done = python(
        """
        import dataclasses, json, logging, sys, unittest
        print([name for name in sys.modules if "fairseq_prune" in name and "editable" not in name])
        print(hasattr(dataclasses.dataclass, "__wrapped__"))
        """
    )
    assert done.stdout == "[]\nFalse\n", done.stderr


def test_configs_build_and_behave_as_on_python_3_10(python: Run) -> None:
    done = python(
        """
        import dataclasses, fairseq, hydra
        config = fairseq.Config()
        assert config.common is config.common is fairseq.Config().common
        assert config == fairseq.Config() and config.common == fairseq.Common()
        for thing in (config, config.common, hydra.Outer().inner):
            assert type(thing).__hash__ is None
        print([field.name for field in dataclasses.fields(config)])
        """
    )
    assert done.stdout == "['x', 'common', 'other']\n", done.stderr


def test_a_plugin_may_nest_its_configs_too(python: Run) -> None:
    assert python("import fairseq, userplugin; print(userplugin.Whole().part.z)").stdout == "3\n"


def test_other_dataclasses_keep_the_rules_of_this_python(python: Run) -> None:
    done = python("import fairseq, foreign")
    assert ("mutable default" in done.stderr) == NEW_RULES, done.stderr


def test_hydra_may_come_first(python: Run) -> None:
    assert python("import hydra, fairseq; print(1)").stdout == "1\n"


@pytest.mark.skipif(not NEW_RULES, reason="nothing to see before Python 3.11")
@pytest.mark.parametrize(
    "variable",
    [{"FAIRSEQ_PRUNE_COMPAT": "0"}, {"FAIRSEQ_PRUNE_COMPAT_SKIP": "typing_io, dataclass_defaults"}],
    ids=["off", "skip"],
)
def test_the_variables_switch_it_off(variable: dict[str, str], python: Run) -> None:
    assert "mutable default" in python("import fairseq", **variable).stderr


def test_skipping_a_patch_that_does_not_exist_is_reported(python: Run) -> None:
    done = python("import hydra", FAIRSEQ_PRUNE_COMPAT_SKIP="fastpath")
    assert "names the patch 'fastpath', known are bitarray_rindex, config" in done.stderr


def test_a_fairseq_that_is_not_ours_leaves_warnings_and_works(python: Run) -> None:
    done = python("import fairseq; print(fairseq.Config().x)")
    assert done.stdout == "1\n"
    assert "patch safe_loading does not apply" in done.stderr


def test_the_line_read_twice_installs_one_finder(python: Run) -> None:
    done = python(
        """
        import _fairseq_prune_compat.startup, sys
        print([getattr(f, "__name__", "") for f in sys.meta_path].count("FairseqPruneFinder"))
        """
    )
    assert done.stdout == "1\n", done.stderr


def test_two_finders_do_no_harm(python: Run) -> None:
    done = python(
        """
        import sys
        from _fairseq_prune_compat.startup import FairseqPruneFinder
        class Second(FairseqPruneFinder):
            pass
        sys.meta_path.insert(0, Second)
        import fairseq; print(fairseq.Config().common.y)
        """
    )
    assert done.stdout == "2\n", done.stderr


def test_a_finder_that_jumps_the_queue_as_pytest_does(python: Run) -> None:
    done = python(
        """
        import importlib.machinery, sys
        import _pytest
        class Jumper:
            @staticmethod
            def find_spec(name, path=None, target=None):
                if name == "hydra":
                    return importlib.machinery.PathFinder.find_spec(name, path)
        sys.meta_path.insert(0, Jumper)
        import hydra, fairseq; print("ok")
        """
    )
    assert done.stdout == "ok\n", done.stderr


def test_a_missing_submodule_is_an_import_error(python: Run) -> None:
    assert "No module named 'fairseq.nothing'" in python("import fairseq.nothing").stderr


def test_a_start_up_line_without_its_package_does_no_harm(python: Run) -> None:
    code = f"exec({PTH.read_text()!r}); import hydra; print('imported')"
    done = python(code, "-S", FAIRSEQ_PRUNE_COMPAT="1")
    if NEW_RULES:
        assert "mutable default" in done.stderr
    else:
        assert done.stdout == "imported\n"


def test_the_line_imports_nothing_of_its_own() -> None:
    line = PTH.read_text()
    assert line.count("\n") == 1
    assert line.startswith("import sys; exec(")
    code = (
        f"import sys; before = set(sys.modules); {line.strip()}; print(set(sys.modules) - before)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"


def test_modules_run_without_the_start_up_line(stand_ins: Path) -> None:
    (stand_ins / "job.py").write_text(
        "import fairseq, sys; print(fairseq.Config().common.y, sys.argv[1:], __name__)"
    )
    package = stand_ins / "_fairseq_prune_compat"
    package.symlink_to(Path(_fairseq_prune_compat.__file__).parent, target_is_directory=True)
    done = subprocess.run(
        [sys.executable, "-S", "-m", "_fairseq_prune_compat", "job", "--a"],
        env=dict(os.environ, PYTHONPATH=str(stand_ins)),
        capture_output=True,
        text=True,
    )
    assert done.stdout == "2 ['--a'] __main__\n", done.stderr


def test_running_no_module_says_how_to() -> None:
    command = [sys.executable, "-m", "_fairseq_prune_compat"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("usage: python -m _fairseq_prune_compat MODULE [ARGS]")


def test_every_patch_has_a_name_of_its_own() -> None:
    assert len(hook.PATCHES) == len({*hook.BEFORE, *hook.AFTER_HYDRA, *hook.AFTER_FAIRSEQ})
