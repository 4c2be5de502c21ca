"""What is handed on: the metadata, the page that an index shows, the source distribution."""

import re
import runpy
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import setuptools

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def said() -> dict[str, Any]:
    """What setup.py tells setuptools, and its own functions."""
    told: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setuptools, "setup", lambda **known: told.update(known))
        return {**runpy.run_path(str(ROOT / "setup.py")), "told": told}


def test_the_metadata_say_what_is_known(said: dict[str, Any]) -> None:
    told = said["told"]
    assert not {"author", "author_email", "url", "project_urls"} & set(told)  # there are none
    minors = {c.rpartition(".")[2] for c in told["classifiers"] if " :: 3." in c}
    (tested,) = re.findall(r'^tested="(.*)"$', (ROOT / "scripts/setup_env.sh").read_text(), re.M)
    assert minors == {version.partition(".")[2] for version in tested.split()}
    assert len(told["keywords"]) > 3 and told["license_files"] == ["LICENSE"]


def test_the_page_on_installing_has_every_extra(said: dict[str, Any]) -> None:
    text = (ROOT / "docs" / "installing.md").read_text(encoding="utf-8")
    extras = set(said["told"]["extras_require"])
    assert set(re.findall(r"^\| `(\w+)` \|", text, flags=re.M)) == extras
    named = re.findall(r"'\.\[([\w,]+)\]'", text)
    assert named and {extra for names in named for extra in names.split(",")} <= extras


@pytest.mark.parametrize(
    ("page", "shown"),
    [
        ("see [training](docs/training.md), or not", "see training, or not"),
        ("[a](docs/a.md#b), [c](#d) and [`e f`](g.md)", "a, c and `e f`"),
        ("[paper](https://arxiv.org/abs/1) stays", "[paper](https://arxiv.org/abs/1) stays"),
        ("a\n\n![front](docs/front.png)\n\nb", "a\n\nb"),
        ("[![front](docs/front.png)](docs/front.md) b", " b"),
        ("![badge](https://x.org/a.svg)", "![badge](https://x.org/a.svg)"),
        ('<a href="docs/a.md">a</a><img alt="b" src="docs/b.png"/>', "a"),
        ("`[i](j)` and\n```\n[k](l)\n```\n", "`[i](j)` and\n```\n[k](l)\n```\n"),
    ],
)
def test_a_page_for_an_index_leads_to_no_file_beside_it(
    page: str, shown: str, said: dict[str, Any]
) -> None:
    assert said["for_an_index"](page) == shown


def test_the_page_that_an_index_shows_is_the_readme(said: dict[str, Any]) -> None:
    page = said["told"]["long_description"]
    text = re.sub(r"^```.*?^```$|`[^`\n]*`", "", page, flags=re.S | re.M)
    assert re.findall(r"\]\((?!https://)|(?:src|href)=", text) == []
    assert page.startswith("# fairseq_prune\n")
    assert page.endswith("are in the source distribution, in `docs/`.\n")
    headings = [re.findall(r"^#+ .*$", p, flags=re.M) for p in (page, README.read_text())]
    assert headings[0] == headings[1]


README = ROOT / "README.md"


def test_a_source_distribution_has_all_that_a_checkout_has(said: dict[str, Any]) -> None:
    files = set(said["checkout_files"]())
    assert {"LICENSE", "README.md", "setup.py", "scripts/setup_env.sh", ".ci/run"} <= files
    assert not [name for name in files if "__pycache__" in name or name.endswith(".pyc")]
    if not (ROOT / ".git").exists():
        return
    git = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {name for name in git.stdout.splitlines() if (ROOT / name).is_file()} <= files


@pytest.mark.slow
def test_a_wheel_of_the_source_distribution_is_that_of_the_checkout(
    said: dict[str, Any], tmp_path: Path
) -> None:
    checkout = tmp_path / "checkout"
    for name in said["checkout_files"]():
        target = checkout / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target)
    subprocess.run(
        [sys.executable, "setup.py", "-q", "sdist", "-d", tmp_path], cwd=checkout, check=True
    )
    (packed,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(packed) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    for name in said["checkout_files"]():
        assert (unpacked / name).read_bytes() == (ROOT / name).read_bytes(), name
    wheels = [
        wheel(folder, tmp_path / f"wheel-of-{folder.name}") for folder in (checkout, unpacked)
    ]
    assert wheels[0] == wheels[1]
    assert {"fairseq_prune/py.typed", "fairseq_prune_compat.pth"} <= set(wheels[0])


def wheel(folder: Path, output: Path) -> dict[str, bytes]:
    """The files of the wheel that pip makes of a folder."""
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--use-pep517", "-w", output, folder], check=True)
    (made,) = output.glob("*.whl")
    with zipfile.ZipFile(made) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}
