"""Where the files of a corpus come from, and whether they are the right ones."""

import os
import re
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from fairseq_prune.files.writing import write_text
from scripts.corpus.declaration import Corpus, File
from scripts.corpus.fetch import Missing, fetch
from scripts.corpus.packed import names_of, sums

SUMS = "SHA256SUMS"
_FROM = "from.txt"


@dataclass(frozen=True)
class Mirror:
    """A place with the files of a corpus.

    Args:
        variable: the environment variable that names another place.
        address: without a slash at the end.
        wanted: the SHA-256 of files by name; None for whatever the corpus declares.
        is_official: whether it is the corpus' own address.
    """

    variable: str
    address: str
    wanted: Mapping[str, str] | None
    is_official: bool

    @property
    def folder(self) -> Path | None:
        """The place as a folder of this machine; None where it is not."""
        parts = urllib.parse.urlsplit(self.address)
        return Path(urllib.parse.unquote(parts.path)) if parts.scheme == "file" else None


def mirror_of(corpus: Corpus, environment: Mapping[str, str]) -> Mirror:
    """The place that ``SET_URL`` names, an address or a folder, or the official one.

    The files of a mirror must be the official ones, unless it has a SHA256SUMS of its own, or
    ``SET_SHA256`` names such a file, or is ``none``.

    Raises ValueError where the variables make no sense.
    """
    variable = f"{corpus.name.upper()}_URL"
    given = environment.get(variable, "").rstrip("/")
    address = given or corpus.address
    if given and "://" not in given:
        if not Path(given).is_dir():
            raise ValueError(
                f"{variable}={given} is neither a folder nor an address that begins with "
                "https://, http:// or file://."
            )
        address = Path(given).resolve().as_uri()
    if urllib.parse.urlsplit(address).scheme not in ("https", "http", "file"):
        raise ValueError(f"{variable}={given} must begin with https://, http:// or file://.")
    mirror = Mirror(variable, address, None, not given)
    return replace(mirror, wanted=_wanted(corpus, mirror.folder, environment))


def _wanted(
    corpus: Corpus, folder: Path | None, environment: Mapping[str, str]
) -> dict[str, str] | None:
    variable = f"{corpus.name.upper()}_SHA256"
    given = environment.get(variable, "")
    if given == "none":
        return {}
    if given:
        return _read_sums(Path(given), variable)
    if folder is not None and (folder / SUMS).is_file():
        return _read_sums(folder / SUMS, SUMS)
    return None


def _read_sums(path: Path, what: str) -> dict[str, str]:
    found = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{what}={path} cannot be read ({error}); it must be `none` or a file that sha256sum "
            "wrote."
        ) from None
    for number, line in enumerate(lines, 1):
        match = re.fullmatch(r"([0-9a-f]{64}) [ *](?:\./)?(.+)", line)
        if match is None:
            raise ValueError(f"{path}, line {number}: {line[:80]!r} is no line of sha256sum.")
        found[match[2]] = match[1]
    return found


def bring(
    corpus: Corpus, mirror: Mirror, folder: Path, say: Callable[[str], None]
) -> dict[str, Path]:
    """The files, by their declared names, in ``folder``: what is there already is not fetched.

    Raises ValueError where one cannot be had, or is another than it should be.
    """
    _check_origin(corpus, mirror, folder)
    found = {}
    for file in corpus.files:
        path = next(_there(folder, file), None)
        if path is None or _is_stale(path, mirror):
            path = _get(corpus, mirror, file, folder, say)
        found[file.name] = path
    return found


def _check_origin(corpus: Corpus, mirror: Mirror, folder: Path) -> None:
    """Files of another place are not mixed with those of this one."""
    note = folder / _FROM
    before = note.read_text(encoding="utf-8").strip() if note.is_file() else mirror.address
    if before != mirror.address and any(next(_there(folder, f), None) for f in corpus.files):
        raise ValueError(
            f"{folder} has files from {before}, not from {mirror.address}; choose another folder, "
            "or remove this one."
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_text(note, mirror.address + "\n")


def _there(folder: Path, file: File) -> Iterator[Path]:
    return (folder / name for name in names_of(file.name) if (folder / name).is_file())


def _is_stale(path: Path, mirror: Mirror) -> bool:
    """Whether a folder has the file anew, mended perhaps, since it was copied from there."""
    if mirror.folder is None or not (source := mirror.folder / path.name).is_file():
        return False
    there, here = source.stat(), path.stat()
    # a copy has the time of its original: another one is not always a later one, clocks are set
    return there.st_mtime_ns != here.st_mtime_ns or there.st_size != here.st_size


def _keep_time(part: Path, mirror: Mirror, name: str) -> None:
    if mirror.folder is not None:
        source = (mirror.folder / name).stat()
        os.utime(part, ns=(source.st_atime_ns, source.st_mtime_ns))


def _get(
    corpus: Corpus, mirror: Mirror, file: File, folder: Path, say: Callable[[str], None]
) -> Path:
    reason = ""
    address = file.address if mirror.is_official and file.address else mirror.address
    for name in names_of(file.name):
        url = f"{address}/{urllib.parse.quote(name)}"
        if not url.startswith("file:"):
            say(f"fetching {url}{f' ({file.size / 1e6:,.1f} MB)' if file.size else ''}")
        part = folder / f"{name}.part"
        try:
            fetch(url, part, say)
        except Missing as error:
            reason = reason or str(error)
            continue
        except OSError as error:
            reason = str(error)
            break
        _check_sum(mirror, file, part, corpus, say)
        _keep_time(part, mirror, name)
        os.replace(part, folder / name)
        return folder / name
    where = "another mirror" if not mirror.is_official else "a mirror"
    raise ValueError(
        f"{file.name} could not be had from {address} ({reason}); set {mirror.variable} to "
        f"{where}, an address or a folder with {', '.join(f.name for f in corpus.files)} (each may "
        "be packed, .gz or .xz)."
    )


def _check_sum(
    mirror: Mirror, file: File, part: Path, corpus: Corpus, say: Callable[[str], None]
) -> None:
    """Raises ValueError, and sets the file aside, where it is not what it should be."""
    name = part.stem
    if mirror.wanted is None:
        wanted = file.sha256
    else:
        known = [mirror.wanted.get(name) for name in names_of(file.name)]
        wanted = next(filter(None, known), None)
    found = sums(part, Path(name).suffix)
    if mirror.wanted == {}:
        return
    if wanted is None:
        say(f"{name}: no SHA-256 to compare with; it is {found[-1]}")
    elif wanted not in found:
        bad = part.with_suffix(".bad")
        os.replace(part, bad)
        raise ValueError(
            f"{name} from {mirror.address} has the SHA-256 {found[-1]}, not {wanted}: it is "
            f"damaged, or another file; it is kept as {bad}. If it is meant, set "
            f"{corpus.name.upper()}_SHA256=none, or to a file of sha256sum."
        )
