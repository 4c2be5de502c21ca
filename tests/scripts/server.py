"""A web server whose line breaks, as lines do."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Site:
    """What the server has and does, and what it was asked.

    Args:
        files: by path, without the first slash.
        cut: bytes after which an answer breaks off; None for never.
        tag: of every file's present state; None where the server knows none.
        ranges: whether it can answer with a part.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cut: int | None = None
        self.tag: str | None = '"one"'
        self.ranges = True
        self.asked: list[str] = []
        self.address = ""


@contextmanager
def served() -> Iterator[Site]:
    """A site on this machine."""
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            site.asked.append(f"{self.path} {wanted or ''}".strip())
            body = site.files.get(self.path[1:])
            if body is None:
                self.send_error(404)
                return
            same = self.headers.get("If-Range") == site.tag
            begin = int(wanted[6:-1]) if wanted and same and site.ranges else 0
            if begin and begin >= len(body):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(body)}")
                self.end_headers()
                return
            self.send_response(206 if begin else 200)
            if site.tag:
                self.send_header("ETag", site.tag)
            self.send_header("Content-Length", str(len(body) - begin))
            self.end_headers()
            end = len(body) if site.cut is None else begin + site.cut
            self.wfile.write(body[begin:end])

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
