"""The pages for people and what they are made of, as they lie in `web/`. They load nothing from anywhere else."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""What every page, and every part of one, is sent with."""

_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript"}


@dataclass(frozen=True, slots=True)
class WebFile:
    """A page or a part of one. Its tag is a hash of its bytes (an ETag: RFC 9110, section 8.8.3)."""

    body: bytes
    content_type: str
    tag: str


def _read() -> Mapping[str, WebFile]:
    files = {}
    for file in resources.files(__package__).joinpath("web").iterdir():
        content_type = _TYPES.get(file.name.rpartition(".")[2])
        if content_type is not None:
            body = file.read_bytes()
            files[file.name] = WebFile(body, content_type, hashlib.sha256(body).hexdigest()[:16])
    return files


FILES = _read()
"""By their names."""

PARTS = sorted(name for name, file in FILES.items() if file.content_type != "text/html")
"""The names of those that are no pages by themselves."""
