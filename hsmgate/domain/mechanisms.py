"""Decide: which mechanism signs an item, with what parameter, over which bytes.

`plan` is a pure function of how the item wants to be signed, the key, and what the token can do. Numbers: PKCS#11 3.2,
pkcs11t.h. Everything is hashed here and signed by raw mechanisms, so `data` and `hash` take one path and it does not
matter which of the combined mechanisms a token has.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from hsmgate.domain.asn1 import ecdsa_der
from hsmgate.domain.curves import CURVES
from hsmgate.domain.digests import Digest, find_digest
from hsmgate.domain.emsa import pss_encode, pss_fits
from hsmgate.domain.model import KeyInfo, KeyType, Mode, SignParams
from hsmgate.errors import BadItem, NotPermitted, Unsupported

CKM_RSA_PKCS = 0x0001
CKM_RSA_X_509 = 0x0003
CKM_RSA_PKCS_PSS = 0x000D
CKM_ECDSA = 0x1041
CKM_EDDSA = 0x1057

CKM_NAMES = {
    CKM_RSA_PKCS: "CKM_RSA_PKCS",
    CKM_RSA_X_509: "CKM_RSA_X_509",
    CKM_RSA_PKCS_PSS: "CKM_RSA_PKCS_PSS",
    CKM_ECDSA: "CKM_ECDSA",
    CKM_EDDSA: "CKM_EDDSA",
}

Transform = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a token can do. mechanisms: the CKM_… numbers of its mechanism list."""

    mechanisms: frozenset[int]


@dataclass(frozen=True, slots=True)
class Plan:
    """How to sign any item of the same parameters with the same key.

    mechanism, parameter: CKM_… and the packed C struct it takes, None for no parameter.
    prepare: the item's bytes to what C_Sign gets; raises BadItem where the bytes cannot be right.
    signature_size: what C_Sign will give, in bytes.
    finish: that to what the caller gets.
    """

    mechanism: int
    parameter: bytes | None
    prepare: Transform
    signature_size: int
    finish: Transform


def plan(params: SignParams, key: KeyInfo, token: Capabilities) -> Plan:
    """The plan for an item.

    Raises BadItem where the item contradicts itself or the key, NotPermitted where the key may not sign, Unsupported
    where the token or this version cannot do it. The text names the member to blame.
    """
    if not key.may_sign:
        raise NotPermitted("key: it may not sign (CKA_SIGN is false)")
    if key.always_authenticate:
        raise Unsupported("key: it wants its PIN at every signature (CKA_ALWAYS_AUTHENTICATE), which is not served")
    if params.context is not None:
        raise BadItem("context: only ML-DSA keys take a context")
    match key.type:
        case KeyType.RSA:
            return _rsa(params, key, token)
        case KeyType.EC:
            return _ecdsa(params, key, token)
        case KeyType.ED25519:
            return _ed25519(params, token)
        case KeyType.OTHER:
            raise Unsupported("key: its type is not served by this version")


def _rsa(params: SignParams, key: KeyInfo, token: Capabilities) -> Plan:
    digest = _digest(params)
    mode = params.mode or Mode("PKCS1_V15")
    if mode.name == "PKCS1_V15":
        return _rsa_pkcs1(params, digest, key, token)
    if mode.name == "PSS":
        mgf = digest if mode.mgf_hash is None else find_digest(mode.mgf_hash, "mode.PSS.mgf.mgf1.hash")
        return _rsa_pss(params, digest, mgf, key, token)
    raise BadItem(f"mode: {mode.name} is not for RSA keys")


def _rsa_pkcs1(params: SignParams, digest: Digest, key: KeyInfo, token: Capabilities) -> Plan:
    """RSASSA-PKCS1-v1_5 (RFC 8017, section 8.2): the token pads, the DigestInfo is ours."""
    size = (key.bits + 7) // 8
    if len(digest.digest_info) + digest.size > size - 11:
        raise Unsupported(f"hash_alg: {digest.name} does not fit an RSA key of {key.bits} bits")
    _require(token, CKM_RSA_PKCS)
    hashed = _hasher(params, digest)
    prefix = digest.digest_info
    return Plan(CKM_RSA_PKCS, None, lambda payload: prefix + hashed(payload), size, bytes)


def _rsa_pss(params: SignParams, digest: Digest, mgf: Digest, key: KeyInfo, token: Capabilities) -> Plan:
    """RSASSA-PSS (RFC 8017, section 8.1), salt as long as the digest; encoded here where the token's own cannot."""
    if params.deterministic:
        raise Unsupported("deterministic_signature: PSS signatures have a random salt")
    if not pss_fits(key.bits, digest.size, digest.size):
        raise Unsupported(f"hash_alg: PSS with {digest.name} does not fit an RSA key of {key.bits} bits")
    size = (key.bits + 7) // 8
    hashed = _hasher(params, digest)
    if mgf is digest and digest.name in _PSS_NATIVE and CKM_RSA_PKCS_PSS in token.mechanisms:
        parameter = struct.pack("@LLL", digest.ckm, mgf.ckg, digest.size)
        return Plan(CKM_RSA_PKCS_PSS, parameter, hashed, size, bytes)
    _require(token, CKM_RSA_X_509)
    return Plan(CKM_RSA_X_509, None, lambda payload: pss_encode(digest, mgf, key.bits, hashed(payload)), size, bytes)


# What the PSS of tokens knows: SoftHSM 2.6 and NSS refuse SHA-3.
_PSS_NATIVE = frozenset({"SHA1", "SHA224", "SHA256", "SHA384", "SHA512"})


def _ecdsa(params: SignParams, key: KeyInfo, token: Capabilities) -> Plan:
    """ECDSA (FIPS 186-5, section 6.4). The leftmost bytes of the digest, as many as the order has, are what counts."""
    _no_mode(params, "EC")
    if params.deterministic:
        raise Unsupported("deterministic_signature: PKCS#11 has no deterministic ECDSA")
    curve = CURVES.get(key.curve or "")
    if curve is None:
        raise Unsupported("key: its curve is not served by this version")
    _require(token, CKM_ECDSA)
    hashed = _hasher(params, _digest(params))
    order_bytes = curve.order_bytes
    return Plan(
        CKM_ECDSA,
        None,
        lambda payload: hashed(payload)[:order_bytes],
        2 * order_bytes,
        partial(ecdsa_der, order_bytes=order_bytes),
    )


def _ed25519(params: SignParams, token: Capabilities) -> Plan:
    """Pure Ed25519 (RFC 8032, section 5.1.6): the message goes to the token as it is, `hash_alg` has no say."""
    _no_mode(params, "Ed25519")
    if params.prehashed:
        raise Unsupported("hash: it asks for Ed25519ph, which this token does not do; send `data`")
    _require(token, CKM_EDDSA)
    return Plan(CKM_EDDSA, None, bytes, 64, bytes)


def _no_mode(params: SignParams, kind: str) -> None:
    if params.mode is not None:
        raise BadItem(f"mode: {kind} keys take none")


def _require(token: Capabilities, mechanism: int) -> None:
    if mechanism not in token.mechanisms:
        raise Unsupported(f"key: its token has no {CKM_NAMES[mechanism]}")


def _digest(params: SignParams) -> Digest:
    if params.hash_alg is None:
        raise BadItem("hash_alg: missing")
    return find_digest(params.hash_alg, "hash_alg")


def _hasher(params: SignParams, digest: Digest) -> Transform:
    """From the item's bytes to a digest: computed from `data`, or `hash` itself once its length is right."""
    if not params.prehashed:
        return digest.compute

    def checked(hashed: bytes) -> bytes:
        if len(hashed) != digest.size:
            raise BadItem(f"hash: {len(hashed)} bytes, but {digest.name} has {digest.size}")
        return hashed

    return checked
