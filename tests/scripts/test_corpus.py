"""Corpora from a mirror to what fairseq-train reads, and what is said where that fails."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sentencepiece

from scripts.corpus import prepare as preparing
from scripts.corpus.declaration import FOLDER, known, read
from scripts.corpus.mirror import bring, mirror_of
from scripts.corpus.steps import step
from tests.scripts.mirrors import mirror, write_sums
from tests.scripts.server import Site, served

ROOT = Path(__file__).resolve().parents[2]
TRANSLATION = [name for name in known() if read(name).languages]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("text")


@pytest.fixture()
def site() -> Iterator[Site]:
    with served() as made:
        yield made


@pytest.fixture()
def use(tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Names a tiny mirror of a corpus in the environment."""

    def named(name: str) -> None:
        monkeypatch.setenv(f"{name.upper()}_URL", str(mirror(name, tmp_path, text)))
        monkeypatch.setenv(f"{name.upper()}_SHA256", "none")

    return named


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".lock" not in path.name
    }


def prepare(name: str, out: Path, pieces: str | None = None) -> None:
    """Has the command make the corpus."""
    words = ["--pieces", pieces] if pieces else []
    assert preparing.main([name, "--output", str(out), *words]) == 0


def test_every_declaration_can_be_read() -> None:
    assert all(read(name).title for name in known())


@pytest.mark.parametrize("name", TRANSLATION)
def test_a_corpus_is_prepared_from_a_mirror(
    name: str, tmp_path: Path, use: Callable[..., None]
) -> None:
    use(name)
    corpus, out = read(name), tmp_path / "out"
    prepare(name, out, "150")
    for folder in ("text", "pieces"):
        for split in ("train", "valid", "test"):
            sides = [(out / folder / f"{split}.{one}").read_text() for one in corpus.languages]
            assert len({side.count("\n") for side in sides}) == 1
            if corpus.lowercase:
                assert sides == [side.lower() for side in sides]
            assert ("\u2581" in sides[0]) == (folder == "pieces")
    # a second run changes nothing
    before = {path: path.stat().st_mtime_ns for path in (out / "text").iterdir()}
    prepare(name, out)
    assert before == {path: path.stat().st_mtime_ns for path in (out / "text").iterdir()}


def test_every_nth_training_pair_is_kept_out_for_validation(
    tmp_path: Path, use: Callable[..., None]
) -> None:
    use("iwslt14")
    prepare("iwslt14", tmp_path / "out")
    sizes = {
        split: (tmp_path / f"out/text/{split}.en").read_text().count("\n")
        for split in ("train", "valid")
    }
    raw = (tmp_path / "out/raw/train.en").read_text().count("\n")
    assert sizes["valid"] == sum(sizes.values()) // 23 > 0
    assert sum(sizes.values()) <= raw


def test_new_settings_do_again_what_depends_on_them_only(
    tmp_path: Path, use: Callable[..., None]
) -> None:
    use("multi30k")
    out, times = tmp_path / "out", []
    for pieces in ("150", "120"):
        prepare("multi30k", out, pieces)
        times.append({n: (out / n).stat().st_ino for n in ("raw", "text", "pieces")})
        model = sentencepiece.SentencePieceProcessor(model_file=str(out / "pieces/spm.model"))
        assert model.get_piece_size() == int(pieces)
    assert times[0]["text"] == times[1]["text"] and times[0]["raw"] == times[1]["raw"]
    assert times[0]["pieces"] != times[1]["pieces"]


def test_a_step_that_was_cut_is_done_again(tmp_path: Path) -> None:
    def cut(to: Path) -> None:
        (to / "half").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        step(tmp_path / "a", "key", cut)
    assert not (tmp_path / "a").exists()
    assert step(tmp_path / "a", "key", lambda to: (to / "whole").touch())
    assert not (tmp_path / "a/half").exists() and (tmp_path / "a/whole").exists()
    assert not step(tmp_path / "a", "key", cut)


def try_to_bring(tmp_path: Path, **environment: str) -> str:
    """The sentence with which fetching IWSLT'15 is refused."""
    corpus = read("iwslt15")
    with pytest.raises(ValueError) as error:
        bring(corpus, mirror_of(corpus, environment), tmp_path / "out", lambda line: None)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_another_corpus_is_refused_unless_it_is_meant(tmp_path: Path, text: Path) -> None:
    folder = mirror("iwslt15", tmp_path, text)
    said = try_to_bring(tmp_path, IWSLT15_URL=str(folder))
    official = read("iwslt15").files[0].sha256 or ""
    assert official in said and "IWSLT15_SHA256=none" in said
    bad = tmp_path / "out/train.en.bad"
    assert bad.read_bytes() == (folder / "train.en").read_bytes() and str(bad) in said
    assert not (tmp_path / "out/train.en").exists()
    # its own sums make it right, for an address of a folder and of a file
    write_sums(folder)
    corpus = read("iwslt15")
    for number, where in enumerate((str(folder), folder.as_uri(), f"{folder.as_uri()}/")):
        place = mirror_of(corpus, {"IWSLT15_URL": where})
        found = bring(corpus, place, tmp_path / f"out{number}", lambda line: None)
        assert found["tst2013.vi"].read_bytes() == (folder / "tst2013.vi").read_bytes()
    # and are held to
    (folder / "tst2013.vi").write_text("another\n")
    assert "tst2013.vi" in try_to_bring(tmp_path / "again", IWSLT15_URL=str(folder))


def test_a_file_that_was_mended_is_copied_again(tmp_path: Path, text: Path) -> None:
    folder, corpus = mirror("iwslt15", tmp_path, text), read("iwslt15")
    environment = {"IWSLT15_URL": str(folder), "IWSLT15_SHA256": "none"}
    for content in ("one\n", "two\n"):
        (folder / "train.en").write_text(content)
        place = mirror_of(corpus, environment)
        found = bring(corpus, place, tmp_path / "out", lambda line: None)
        assert found["train.en"].read_text() == content


def test_a_file_that_was_mended_while_a_clock_was_wrong_is_copied_again(
    tmp_path: Path, text: Path
) -> None:
    folder, corpus = mirror("iwslt15", tmp_path, text), read("iwslt15")
    place = mirror_of(corpus, {"IWSLT15_URL": str(folder), "IWSLT15_SHA256": "none"})
    for content, clock in (("one\n", 2e9), ("two\n", 1e9)):
        (folder / "train.en").write_text(content)
        os.utime(folder / "train.en", (clock, clock))
        found = bring(corpus, place, tmp_path / "out", lambda line: None)
        assert found["train.en"].read_text() == content
    # and what is the same is not copied again
    before = found["train.en"].stat()
    found = bring(corpus, place, tmp_path / "out", lambda line: None)
    assert found["train.en"].stat().st_ino == before.st_ino


def test_sums_may_come_from_a_file(tmp_path: Path, text: Path, site: Site) -> None:
    folder = mirror("iwslt15", tmp_path, text)
    write_sums(folder)
    site.files = {path.name: path.read_bytes() for path in folder.iterdir()}
    corpus = read("iwslt15")
    sums = str(folder / "SHA256SUMS")
    place = mirror_of(corpus, {"IWSLT15_URL": site.address, "IWSLT15_SHA256": sums})
    found = bring(corpus, place, tmp_path / "out", lambda line: None)
    assert found["train.en"].read_bytes() == site.files["train.en"]
    (folder / "SHA256SUMS").write_text("not a sum\n")
    with pytest.raises(ValueError, match="SHA256SUMS, line 1: 'not a sum'"):
        mirror_of(corpus, {"IWSLT15_SHA256": sums})
    with pytest.raises(ValueError, match="IWSLT15_SHA256=/nowhere cannot be read"):
        mirror_of(corpus, {"IWSLT15_SHA256": "/nowhere"})


def test_what_cannot_be_had_is_named_with_the_way_out(tmp_path: Path, site: Site) -> None:
    said = try_to_bring(tmp_path, IWSLT15_URL=site.address)
    assert f"train.en could not be had from {site.address} (the answer was 404" in said
    assert "set IWSLT15_URL to another mirror" in said and "tst2013.vi" in said
    assert site.asked == ["/train.en", "/train.en.gz", "/train.en.xz"]


def test_addresses_that_are_none(tmp_path: Path) -> None:
    assert "/nowhere is neither a folder nor" in try_to_bring(tmp_path, IWSLT15_URL="/nowhere")
    assert "must begin with https://" in try_to_bring(tmp_path, IWSLT15_URL="ftp://x/y")


def test_files_of_two_places_are_not_mixed(tmp_path: Path, text: Path) -> None:
    folder, corpus = mirror("iwslt15", tmp_path, text), read("iwslt15")
    environment = {"IWSLT15_URL": str(folder), "IWSLT15_SHA256": "none"}
    bring(corpus, mirror_of(corpus, environment), tmp_path / "out", lambda line: None)
    other = folder.rename(tmp_path / "elsewhere")
    environment["IWSLT15_URL"] = str(other)
    assert f"has files from {folder.as_uri()}, not from" in try_to_bring(tmp_path, **environment)


def test_too_little_disk_is_told_before_anything_is_fetched(
    tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("IWSLT15_URL", str(mirror("iwslt15", tmp_path, text)))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    assert preparing.main(["iwslt15", "--output", str(tmp_path / "out")]) == 2
    out, error = capsys.readouterr()
    assert "takes about 1 MB of disk" in out
    assert "has 1 MB free, and about 1 MB are needed" in error and error.count("\n") == 1
    assert not (tmp_path / "out/download").exists()


def test_too_little_text_for_so_many_pieces(
    tmp_path: Path, use: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    use("multi30k")
    words = ["multi30k", "--output", str(tmp_path / "out"), "--pieces"]
    for pieces, said in (("90000", "no 90,000 pieces of this text (set PIECES"), ("many", "=many")):
        assert preparing.main([*words, pieces]) == 2
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1


def test_declarations_that_are_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = (FOLDER / "iwslt15.yaml").read_text()
    monkeypatch.setattr("scripts.corpus.declaration.FOLDER", tmp_path)
    for old, new, said in (
        ("text: moses", "text: latin", "text is 'latin'; it can be raw or moses"),
        ("train.en: {bytes", "../train.en: {bytes", "no name of a file"),
        ("sha256: c2", "sha256: x2", "64 digits"),
        ("address:", "adress:", "unknown key 'adress'.*address"),
    ):
        assert old in good
        (tmp_path / "one.yaml").write_text(good.replace(old, new, 1))
        with pytest.raises(ValueError, match=said):
            read("one")
    with pytest.raises(ValueError, match="no data set 'two'; there are one"):
        read("two")


@pytest.mark.slow
def test_a_preparation_that_is_killed_ends_like_one_that_is_not(tmp_path: Path, text: Path) -> None:
    environment = {
        **os.environ, "PROGRAMS": str(Path(sys.executable).parent), "PIECES": "150",
        "MULTI30K_SHA256": "none", "MULTI30K_URL": str(mirror("multi30k", tmp_path, text)),
    }  # fmt: skip
    command = ["bash", ROOT / "scripts/multi30k/prepare.sh"]
    begin = time.monotonic()
    subprocess.run([*command, tmp_path / "calm"], env=environment, check=True)
    took = time.monotonic() - begin
    for kill in range(12):
        process = subprocess.Popen([*command, tmp_path / "cut"], env=environment)
        try:
            process.wait(took * (kill + 1) / 13)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    subprocess.run([*command, tmp_path / "cut"], env=environment, check=True)
    calm, cut = contents(tmp_path / "calm"), contents(tmp_path / "cut")
    for found in (calm, cut):  # fairseq says where and when
        for name in [n for n in found if n.endswith(".log")]:
            del found[name]
    assert calm == cut
