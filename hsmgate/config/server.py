"""[server]: the HTTP side."""

from typing import Annotated, Literal

from pydantic import Field

from hsmgate.config.words import MIB, Listen, LogLevel, Seconds, Section, Size, Text, Verification

LARGEST_BODY = 32 * MIB
MOST_WORKERS = 64


class Server(Section):
    """[server]: the HTTP side."""

    listen: Listen = "127.0.0.1:8080"
    """`HOST:PORT`, `[IPV6]:PORT` or `unix:PATH`; `--listen` goes before it"""

    tls_certificate: Text | None = None
    """PEM file, the certificate with its chain. With `tls_key` it makes it https (TLS 1.2 and 1.3)"""

    tls_key: Text | None = None
    """PEM file, the certificate's key without a password"""

    client_ca: Text | None = None
    """PEM file: client certificates are verified against it"""

    client_certificates: Literal["required", "optional"] = "required"
    """with `client_ca`: `"required"` of every connection, whatever its credentials, or `"optional"`: callers without
    one may come in too. One that does not verify is refused in any case"""

    plain_http: Literal["loopback", "anywhere"] = "loopback"
    """where http without TLS may be served: on `"loopback"` addresses and unix sockets, or `"anywhere"`. API keys
    travel in it, so `"anywhere"` is for where something in front of the gateway sees to TLS"""

    workers: Annotated[int, Field(ge=1, le=MOST_WORKERS)] = 1
    """gateway processes on the one address, at most 64: see [Workers](#workers)"""

    max_body: Annotated[int, Size, Field(ge=1024, le=LARGEST_BODY)] = 16 * MIB
    """largest request body (`B`, `KiB`, `MiB`, `GiB`; at most 32MiB); more is 413"""

    max_items: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """most items in a batch; more is 413"""

    request_timeout: Seconds = 30.0
    """seconds for a whole batch; what is not signed by then is a 504 for its item. Also for a body to come and for an
    answer to be taken: who is slower is cut off"""

    drain_timeout: Annotated[float, Field(ge=0, le=86400, allow_inf_nan=False)] = 30.0
    """seconds that SIGTERM and SIGINT give to what is in flight; connections end with their next answer, which says
    `Connection: close`, those without a request after 3 seconds; then the exit code is 0"""

    max_waiting: Annotated[int, Field(ge=1)] = 20_000
    """items that may wait for a signer, over all requests; what is beyond is a 503 for its item, at once, with
    `Retry-After` on the call"""

    verify_signatures: Verification = "first"
    """what is verified before it leaves, besides all signatures of RSA keys: the `"first"` of every key since its
    handle was found, or `"always"` all. A token that renumbers its handles without closing a session could otherwise
    sign with another key of the same type, other than RSA, until the next refusal: choose `"always"` where that can
    be"""

    log_format: Literal["human", "json"] = "human"
    """of the log on standard error: `"human"` or `"json"`, see [monitoring](monitoring.md)"""

    log_level: LogLevel = "info"
    """from which level on: `"debug"`, `"info"`, `"warning"` or `"error"`. Every call is a line at `"info"`"""

    strict_listing: bool = False
    """list only keys that strict old clients can decode (RSA, EC on the NIST and secp…k1 curves, Ed25519): one that
    they do not know fails their whole listing. Keys that are not listed sign all the same"""

    published_keys: list[Text] = []
    """names, with `*` and `?`, of keys whose public keys anyone may have from `GET /crypto/v1/pubkey/…`"""
