"""Fetching one file so that a cut line costs nothing: what has come is kept, the rest asked for."""

import http.client
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

_BLOCK = 1 << 20
_WAIT = 60  # seconds without a byte
_PAUSES = (1, 4, 15, 60)  # seconds before each new try
_GONE = (400, 401, 403, 404, 410)  # answers that another try would not change


class Missing(Exception):
    """There is no such file at that place; another may have it."""


def fetch(
    url: str,
    part: Path,
    say: Callable[[str], None] = lambda line: None,
    pauses: tuple[float, ...] = _PAUSES,
) -> None:
    """Bring ``url`` (http, https or file) to ``part``, which may hold the beginning of it.

    Args:
        say: told how far it is, every few seconds.
        pauses: between tries, in seconds; one try more than there are pauses.

    Raises Missing where there is no such file, OSError where the last try failed too.
    """
    if url.startswith("file:"):
        _copy(Path(urllib.request.url2pathname(urllib.parse.urlsplit(url).path)), part)
    else:
        _download(url, part, say, pauses)
    _tag(part).unlink(missing_ok=True)


def _copy(source: Path, part: Path) -> None:
    if not source.is_file():
        raise Missing(f"there is no file {source}")
    shutil.copyfile(source, part)


def _download(url: str, part: Path, say: Callable[[str], None], pauses: tuple[float, ...]) -> None:
    for pause in (*pauses, None):
        try:
            _ask(url, part, say)
            return
        except urllib.error.HTTPError as error:
            if error.code == 416:  # there is no rest: it is whole, or has changed
                total = error.headers.get("Content-Range", "").rpartition("/")[2]
                if total == str(part.stat().st_size):
                    return
                part.unlink(missing_ok=True)
            elif error.code in _GONE:
                raise Missing(f"the answer was {error.code} {error.reason}") from None
            failure: OSError = error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            failure = OSError(str(reason) or type(error).__name__)
        if pause is None:
            raise failure
        say(f"{url}: {failure}; trying again in {pause} s")
        time.sleep(pause)


def _ask(url: str, part: Path, say: Callable[[str], None]) -> None:
    """Append what is missing; raises OSError where the line was cut again."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "fairseq_prune"})
    tag = _tag(part).read_text(encoding="utf-8") if have and _tag(part).exists() else ""
    if have and tag:
        # a file that has changed since must not be glued to what came before
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", tag)
    with urllib.request.urlopen(request, timeout=_WAIT) as answer:
        if answer.status != 206:
            have = 0
        mark = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
        _tag(part).write_text("" if mark.startswith("W/") else mark, encoding="utf-8")
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else None
        got = _receive(answer, part, have, total, f"{url.rpartition('/')[2]}", say)
    if total is not None and got < total:
        raise OSError(f"the line was cut after {got:,} of {total:,} bytes")


def _receive(
    answer: http.client.HTTPResponse,
    part: Path,
    have: int,
    total: int | None,
    name: str,
    say: Callable[[str], None],
) -> int:
    said = time.monotonic()
    with part.open("r+b" if have else "wb") as file:
        file.seek(have)
        file.truncate()
        while block := answer.read(_BLOCK):
            file.write(block)
            have += len(block)
            if time.monotonic() - said > 10:
                said = time.monotonic()
                of = f" of {total / 1e6:,.1f}" if total else ""
                say(f"{name}: {have / 1e6:,.1f}{of} MB")
    return have


def _tag(part: Path) -> Path:
    """Beside a part: by which the server knows the file that it was cut from."""
    return part.with_name(part.name + ".tag")
