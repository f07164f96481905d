"""What answers is no hsmgate."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.cli.shell import Shell

ANSWERS = {
    "a page": (200, "text/html", b"<h1>Welcome</h1>", "what answers there is no hsmgate"),
    "another shape": (200, "application/json", b'{"keys": []}', "what answers there is no hsmgate"),
    "no keys": (200, "application/json", b'[{"kid": 5}]', "what it says of a key makes no sense"),
    "a page of a proxy": (502, "text/html", b"<h1>Bad</h1>\x1b[2J", "answered Bad Gateway (HTTP 502)"),
    "escape sequences": (400, "text/plain", b"\x1b[2Jno\nno", "\\x1b[2Jno\\nno (HTTP 400)"),
    "somewhere else": (302, "text/plain", b"", "answered Found (HTTP 302)"),
}


class Stranger(ThreadingHTTPServer):
    """Gives one answer to all, and counts them."""

    answer = ""
    seen = 0


class Handler(BaseHTTPRequestHandler):
    server: Stranger

    def do_GET(self) -> None:
        status, kind, body, _ = ANSWERS[self.server.answer]
        self.server.seen += 1
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        pass


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    with Stranger(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("answer", ANSWERS)
def test_it_is_one_line_and_asked_once(shell: Shell, stranger: Stranger, answer: str) -> None:
    stranger.answer = answer
    line = shell.refused("keys", "list", "--url", f"http://127.0.0.1:{stranger.server_port}")
    assert ANSWERS[answer][3] in line
    assert stranger.seen == 1
