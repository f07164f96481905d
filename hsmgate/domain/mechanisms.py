"""Decide: which mechanism signs an item, with what parameter, over which bytes.

`plan` is a pure function of how the item wants to be signed, the key, and what the token can do. Numbers: PKCS#11 3.2,
pkcs11t.h. Everything is hashed here and signed by raw mechanisms, so `data` and `hash` take one path and it does not
matter which of the combined mechanisms a token has.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from hsmgate.domain import capabilities as can
from hsmgate.domain.asn1 import ecdsa_der
from hsmgate.domain.capabilities import Capabilities
from hsmgate.domain.ckm import (
    CKM_DSA,
    CKM_ECDSA,
    CKM_EDDSA,
    CKM_HASH_ML_DSA,
    CKM_HSS,
    CKM_ML_DSA,
    CKM_RSA_PKCS,
    CKM_RSA_PKCS_PSS,
    CKM_RSA_X_509,
    CKM_SLH_DSA,
    CKM_XMSS,
    CKM_XMSSMT,
)
from hsmgate.domain.curves import CURVES
from hsmgate.domain.digests import Digest, find_digest
from hsmgate.domain.emsa import pss_encode, pss_fits
from hsmgate.domain.model import ONE_TIME, KeyInfo, KeyType, Mode, SignParams
from hsmgate.errors import BadItem, NotPermitted, Unsupported

CKH_HEDGE_PREFERRED = 0
CKH_DETERMINISTIC_REQUIRED = 2

ML_DSA_PARAMETER_SETS = {1: "MlDsa44", 2: "MlDsa65", 3: "MlDsa87"}
"""Names (of the newer OpenAPI) by CKA_PARAMETER_SET."""

ML_DSA_SIGNATURE_SIZES = {"MlDsa44": 2420, "MlDsa65": 3309, "MlDsa87": 4627}
EDWARDS_SIGNATURE_SIZES = {"Ed25519": 64, "Ed448": 114}
LARGEST_SIGNATURE = 128 * 1024
"""Bytes: more than any mechanism of PKCS#11 3.2 gives."""


Transform = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class PssParameter:
    """CK_RSA_PKCS_PSS_PARAMS (PKCS#11 3.2, section 6.1.8).

    hash, mgf: CKM_… and CKG_MGF1_… numbers.
    salt_size: bytes.
    """

    hash: int
    mgf: int
    salt_size: int


@dataclass(frozen=True, slots=True)
class EddsaParameter:
    """CK_EDDSA_PARAMS (PKCS#11 3.2, section 6.3.15), without a context."""

    prehash: bool


@dataclass(frozen=True, slots=True)
class ContextParameter:
    """CK_SIGN_ADDITIONAL_CONTEXT, or CK_HASH_SIGN_ADDITIONAL_CONTEXT where there is a hash (PKCS#11 3.2, section 6.67).

    hash: CKM_… of the hash that the digest was made with.
    """

    hedge: int
    context: bytes
    hash: int | None = None


Parameter = PssParameter | EddsaParameter | ContextParameter | None
"""What goes with a mechanism. Only the caller of C can pack it: there may be pointers in it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How to sign any item of the same parameters with the same key.

    prepare: the item's bytes to what C_Sign gets; raises BadItem where the bytes cannot be right.
    signature_size: the most bytes that C_Sign will give; exactly what it gives, but for SLH-DSA and one-time keys.
    finish: what C_Sign gave to what the caller gets.
    once: the key is used up by signing, so nothing that may have been signed is signed again.
    """

    mechanism: int
    parameter: Parameter
    prepare: Transform
    signature_size: int
    finish: Transform = bytes
    once: bool = False


def plan(params: SignParams, key: KeyInfo, token: Capabilities) -> Plan:
    """The plan for an item.

    Raises BadItem where the item contradicts itself or the key, NotPermitted where the key may not sign, Unsupported
    where the token cannot do it. The text names the member to blame.
    """
    if not key.may_sign:
        raise NotPermitted("key: it may not sign (CKA_SIGN is false)")
    if key.always_authenticate:
        raise Unsupported("key: it wants its PIN at every signature (CKA_ALWAYS_AUTHENTICATE), which is not served")
    if params.context is not None and key.type is not KeyType.ML_DSA:
        raise BadItem("context: only ML-DSA keys take a context")
    if params.mode is not None and key.type not in (KeyType.RSA, KeyType.ML_DSA):
        raise BadItem(f"mode: {key.type} keys take none")
    return _PLANNERS[key.type](params, key, token)


def _rsa(params: SignParams, key: KeyInfo, token: Capabilities) -> Plan:
    digest = _digest(params)
    mode = params.mode or Mode("PKCS1_V15")
    if mode.name == "PKCS1_V15":
        return _rsa_pkcs1(params, digest, key, token)
    if mode.name == "PSS":
        mgf = digest if mode.mgf_hash is None else find_digest(mode.mgf_hash, "mode.PSS.mgf.mgf1.hash")
        return _rsa_pss(params, digest, mgf, key, token)
    raise BadItem("mode: RSA keys take PSS or PKCS1_V15")


def _rsa_pkcs1(params: SignParams, digest: Digest, key: KeyInfo, token: Capabilities) -> Plan:
    """RSASSA-PKCS1-v1_5 (RFC 8017, section 8.2): the token pads, the DigestInfo is ours."""
    size = (key.bits + 7) // 8
    if len(digest.digest_info) + digest.size > size - 11:
        raise Unsupported(f"hash_alg: {digest.name} does not fit an RSA key of {key.bits} bits")
    _require(token, can.RSA_PKCS1)
    hashed = _hasher(params, digest)
    prefix = digest.digest_info
    return Plan(CKM_RSA_PKCS, None, lambda payload: prefix + hashed(payload), size)


def _rsa_pss(params: SignParams, digest: Digest, mgf: Digest, key: KeyInfo, token: Capabilities) -> Plan:
    """RSASSA-PSS (RFC 8017, section 8.1), salt as long as the digest; encoded here where the token's own cannot."""
    if params.deterministic:
        raise Unsupported("deterministic_signature: PSS signatures have a random salt")
    if not pss_fits(key.bits, digest.size, digest.size):
        raise Unsupported(f"hash_alg: PSS with {digest.name} does not fit an RSA key of {key.bits} bits")
    size = (key.bits + 7) // 8
    hashed = _hasher(params, digest)
    if digest.ckm is not None and mgf.ckg is not None and token.can(can.rsa_pss(digest.name, mgf.name)):
        return Plan(CKM_RSA_PKCS_PSS, PssParameter(digest.ckm, mgf.ckg, digest.size), hashed, size)
    _require(token, can.RSA_RAW)
    return Plan(CKM_RSA_X_509, None, lambda payload: pss_encode(digest, mgf, key.bits, hashed(payload)), size)


def _ecdsa(params: SignParams, key: KeyInfo, token: Capabilities) -> Plan:
    """ECDSA (FIPS 186-5, section 6.4)."""
    curve = CURVES.get(key.variant or "")
    if curve is None:
        raise Unsupported("key: its curve is not known here")
    return _dsa_like(params, token, can.ECDSA, CKM_ECDSA, curve.order_bytes)


def _dsa(params: SignParams, key: KeyInfo, token: Capabilities) -> Plan:
    """DSA (FIPS 186-4, section 4)."""
    if key.variant is None:
        raise Unsupported("key: its token does not show the length of q (CKA_SUBPRIME)")
    return _dsa_like(params, token, can.DSA, CKM_DSA, (int(key.variant) + 7) // 8)


def _dsa_like(params: SignParams, token: Capabilities, capability: str, mechanism: int, order_bytes: int) -> Plan:
    """What counts of a digest is its leftmost bytes, as many as the order has; some tokens refuse more."""
    if params.deterministic:
        raise Unsupported(f"deterministic_signature: PKCS#11 has no deterministic {capability}")
    _require(token, capability)
    hashed = _hasher(params, _digest(params))
    return Plan(
        mechanism,
        None,
        lambda payload: hashed(payload)[:order_bytes],
        2 * order_bytes,
        partial(ecdsa_der, order_bytes=order_bytes),
    )


def _edwards(params: SignParams, key: KeyInfo, token: Capabilities) -> Plan:
    """EdDSA (RFC 8032): `data` is signed as it is, `hash` as the prehash of Ed25519ph or Ed448ph."""
    curve = key.type.value
    size = EDWARDS_SIGNATURE_SIZES[curve]
    if params.prehashed:
        if not token.can(can.edwards_prehash(curve)):
            raise Unsupported(f"hash: it asks for {curve}ph, which this token was not seen to do; send `data`")
        return Plan(CKM_EDDSA, EddsaParameter(prehash=True), _of_length("hash", 64, f"{curve}ph"), size)
    if not token.can(can.edwards(curve)):
        _require(token, can.edwards_with_parameter(curve))
        return Plan(CKM_EDDSA, EddsaParameter(prehash=False), bytes, size)
    return Plan(CKM_EDDSA, None, bytes, size)


def _ml_dsa(params: SignParams, key: KeyInfo, token: Capabilities) -> Plan:
    """ML-DSA (FIPS 204): `data` by the pure variant, `hash` by HashML-DSA, unless `mode.variant` says otherwise."""
    if key.variant not in ML_DSA_SIGNATURE_SIZES:
        raise Unsupported("key: its parameter set is not known here")
    _require(token, key.variant)
    variant = params.mode.name if params.mode else "PRE_HASH" if params.prehashed else "PURE"
    context = params.context or b""
    if context:
        _require(token, can.ML_DSA_CONTEXT, "context")
    if params.deterministic:
        _require(token, can.ML_DSA_DETERMINISTIC, "deterministic_signature")
    hedge = CKH_DETERMINISTIC_REQUIRED if params.deterministic else CKH_HEDGE_PREFERRED
    size = ML_DSA_SIGNATURE_SIZES[key.variant]
    match variant:
        case "PURE":
            if params.prehashed:
                raise BadItem("hash: the variant PURE signs `data`")
            # Without a parameter where none is needed: not every token knows it.
            parameter = ContextParameter(hedge, context) if context or hedge else None
            return Plan(CKM_ML_DSA, parameter, bytes, size)
        case "PRE_HASH":
            digest = _digest(params)
            _require(token, can.ML_DSA_PREHASH, "mode" if params.mode else "hash")
            if digest.ckm is None:
                raise Unsupported(f"hash_alg: HashML-DSA does not know {digest.name}")
            return Plan(CKM_HASH_ML_DSA, ContextParameter(hedge, context, digest.ckm), _hasher(params, digest), size)
        case "EXTERNAL_MU":
            raise Unsupported("mode: PKCS#11 3.2 has no mechanism for EXTERNAL_MU")
        case _:
            raise BadItem("mode: ML-DSA keys take the variants PURE, PRE_HASH and EXTERNAL_MU")


def _message(mechanism: int, capability: str, params: SignParams, key: KeyInfo, token: Capabilities) -> Plan:
    """A mechanism that takes the message as it is and no parameter."""
    if params.prehashed:
        raise Unsupported(f"hash: {key.type} signs messages; send `data`")
    if params.deterministic:
        raise Unsupported(f"deterministic_signature: {key.type} has no such switch here")
    _require(token, capability)
    return Plan(mechanism, None, bytes, LARGEST_SIGNATURE, once=key.type in ONE_TIME)


def _other(params: SignParams, key: KeyInfo, token: Capabilities) -> Plan:
    raise Unsupported("key: its type has no signature mechanism here")


_PLANNERS: dict[KeyType, Callable[[SignParams, KeyInfo, Capabilities], Plan]] = {
    KeyType.RSA: _rsa,
    KeyType.EC: _ecdsa,
    KeyType.ED25519: _edwards,
    KeyType.ED448: _edwards,
    KeyType.DSA: _dsa,
    KeyType.ML_DSA: _ml_dsa,
    KeyType.SLH_DSA: partial(_message, CKM_SLH_DSA, can.SLH_DSA),
    KeyType.HSS: partial(_message, CKM_HSS, KeyType.HSS.value),
    KeyType.XMSS: partial(_message, CKM_XMSS, KeyType.XMSS.value),
    KeyType.XMSSMT: partial(_message, CKM_XMSSMT, KeyType.XMSSMT.value),
    KeyType.OTHER: _other,
}


def _require(token: Capabilities, capability: str, member: str = "key") -> None:
    if not token.can(capability):
        seen = "was not seen to do" if token.tried else "does not list"
        raise Unsupported(f"{member}: its token {seen} {capability}")


def _digest(params: SignParams) -> Digest:
    if params.hash_alg is None:
        raise BadItem("hash_alg: missing")
    return find_digest(params.hash_alg, "hash_alg")


def hash_payload(params: SignParams, digest: Digest, payload: bytes) -> bytes:
    """The digest that an item's bytes are, or have. Raises BadItem for one of the wrong length."""
    return _hasher(params, digest)(payload)


def _hasher(params: SignParams, digest: Digest) -> Transform:
    """From the item's bytes to a digest: computed from `data`, or `hash` itself once its length is right."""
    return _of_length("hash", digest.size, digest.name) if params.prehashed else digest.compute


def _of_length(member: str, size: int, name: str) -> Transform:
    def checked(payload: bytes) -> bytes:
        if len(payload) != size:
            raise BadItem(f"{member}: {len(payload)} bytes, but {name} has {size}")
        return payload

    return checked


def promised(mechanisms: frozenset[int]) -> Capabilities:
    """What a mechanism list promises: the best there is where a token lets us try nothing."""
    shown: set[str] = set()
    for mechanism, names in _PROMISES.items():
        if mechanism in mechanisms:
            shown.update(names)
    return Capabilities(mechanisms, frozenset(shown), tried=False)


_PROMISES: dict[int, tuple[str, ...]] = {
    CKM_RSA_PKCS: (can.RSA_PKCS1,),
    CKM_RSA_X_509: (can.RSA_RAW,),
    # SHA-3 in PSS is new, and a hash that differs from MGF1's is often refused.
    CKM_RSA_PKCS_PSS: tuple(can.rsa_pss(name, name) for name in ("SHA1", "SHA224", "SHA256", "SHA384", "SHA512")),
    CKM_ECDSA: (can.ECDSA,),
    CKM_DSA: (can.DSA,),
    CKM_EDDSA: (can.edwards("Ed25519"),),
    CKM_ML_DSA: (*ML_DSA_SIGNATURE_SIZES,),
    CKM_SLH_DSA: (can.SLH_DSA,),
    CKM_HSS: (KeyType.HSS.value,),
    CKM_XMSS: (KeyType.XMSS.value,),
    CKM_XMSSMT: (KeyType.XMSSMT.value,),
}
