"""Bodies to begin with, for the OpenAPI document: right in form, and right for the keys of `hsmgate init`."""

from typing import Any

HELLO: dict[str, Any] = {"hash_alg": "SHA256", "data": "aGVsbG8="}

_ITEM = {"key": {"name": "p256"}, **HELLO}
_PSS_ITEM = {"key": {"name": "rsa2048"}, **HELLO, "mode": {"PSS": {"mgf": {"mgf1": {"hash": "SHA256"}}}}}
_SIGNATURE = {"signature": "MAYCAQECAQE="}

EXAMPLES: dict[str, Any] = {
    "batchSign": [_ITEM, _PSS_ITEM],
    "batchVerify": [_ITEM | _SIGNATURE],
    "sign": _ITEM,
    "verify": _ITEM | _SIGNATURE,
    "signWithKey": HELLO,
    "verifyWithKey": HELLO | _SIGNATURE,
    "digest": {"alg": "SHA256", "data": "aGVsbG8="},
    "createKey": {"name": "new", "obj_type": "EC", "elliptic_curve": "NistP256"},
    "importKey": {"name": "imported", "obj_type": "EC", "value": "AAAA"},
    "findKey": {"name": "p256"},
    "changeKey": {"description": "used for releases"},
}
"""By operation. What is imported here is no key, so that nobody imports one that everybody knows."""
