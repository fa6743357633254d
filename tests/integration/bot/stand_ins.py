"""Hand-made pages that stand in for the platforms' own, and the host of the meetings on them."""

import contextlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

_PAGES = Path(__file__).with_name("pages")
_LONGEST_S = 120.0


class Host:
    """Whoever lets people in and ends the meeting; each waits until the test says so."""

    def __init__(self) -> None:
        self._done = {"admit": threading.Event(), "end": threading.Event()}

    def admit(self) -> None:
        self._done["admit"].set()

    def end(self) -> None:
        self._done["end"].set()

    def wait_for(self, what: str) -> None:
        self._done[what].wait(_LONGEST_S)


@dataclass
class Pages:
    """The stand-ins on a port of their own, their host, and what they told their server."""

    port: int
    told: list[str]
    host: Host

    def url(self, name: str, query: str = "") -> str:
        path = "wc/123456789/zoom.html" if name == "zoom" else f"{name}.html"
        return f"http://127.0.0.1:{self.port}/{path}?{query}"


class _Handler(http.server.SimpleHTTPRequestHandler):
    def __init__(self, *args: Any, told: list[str], host: Host, **more: Any) -> None:
        self._told = told
        self._host = host
        super().__init__(*args, directory=str(_PAGES), **more)

    def do_GET(self) -> None:
        if not self.path.startswith("/host/"):
            super().do_GET()
            return
        self._host.wait_for(self.path.removeprefix("/host/"))
        with contextlib.suppress(ConnectionError):  # of a page that is gone
            self._say_nothing()

    def do_POST(self) -> None:
        self._told.append(self.path.removeprefix("/told/"))
        self._say_nothing()

    def _say_nothing(self) -> None:
        self.send_response(204)
        self.end_headers()

    def translate_path(self, path: str) -> str:
        return super().translate_path(f"/{path.partition('?')[0].rpartition('/')[2]}")

    def log_message(self, *_: object) -> None:
        """Say nothing of every request."""


@contextlib.contextmanager
def served() -> Iterator[Pages]:
    """Serve every stand-in."""
    told: list[str] = []
    host = Host()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, told=told, host=host))
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    yield Pages(server.server_address[1], told, host)
    host.admit()
    host.end()
    server.shutdown()
    server.server_close()
    serving.join()
