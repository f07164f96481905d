"""Decide: which mechanism signs an item, with what parameter, over which bytes.

`plan` is a pure function of how the item wants to be signed, the key, and what the token can do. Numbers: PKCS#11 3.2,
pkcs11t.h. Everything is hashed here and signed by raw mechanisms, so `data` and `hash` take one path and it does not
matter which of the combined mechanisms a token has. Only a key that does not allow the raw one (CKA_ALLOWED_MECHANISMS)
is signed with by another that comes to the same.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
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
    DSA_HASHING,
    ECDSA_HASHING,
    RSA_PKCS_HASHING,
    RSA_PSS_HASHING,
    ckm_name,
)
from hsmgate.domain.curves import CURVES
from hsmgate.domain.digests import Digest, find_digest
from hsmgate.domain.emsa import pkcs1_encode, pss_encode, pss_fits
from hsmgate.domain.model import ONE_TIME, KeyInfo, KeyType, Mode, SignParams
from hsmgate.domain.plans import (
    LARGEST_SIGNATURE,
    ContextParameter,
    EddsaParameter,
    Plan,
    PssParameter,
    Transform,
)
from hsmgate.errors import BadItem, NotPermitted, Unsupported

CKH_HEDGE_PREFERRED = 0
CKH_DETERMINISTIC_REQUIRED = 2

ML_DSA_PARAMETER_SETS = {1: "MlDsa44", 2: "MlDsa65", 3: "MlDsa87"}
"""Names (of the newer OpenAPI) by CKA_PARAMETER_SET."""

ML_DSA_SIGNATURE_SIZES = {"MlDsa44": 2420, "MlDsa65": 3309, "MlDsa87": 4627}
EDWARDS_SIGNATURE_SIZES = {"Ed25519": 64, "Ed448": 114}
EDWARDS_PREHASHES = {"Ed25519": "SHA512", "Ed448": None}
"""What the digest of Ed25519ph and Ed448ph is made with (RFC 8032, section 5), by the contract's name: of Ed448ph it is
SHAKE256 of 64 bytes, for which the contract has none."""


def plan(params: SignParams, key: KeyInfo, token: Capabilities) -> Plan:
    """The plan for an item.

    Raises BadItem where the item contradicts itself or the key, NotPermitted where the key may not sign, or not so,
    Unsupported where the token cannot do it. The text names the member to blame.
    """
    if not key.may_sign:
        raise NotPermitted("key: it may not sign (CKA_SIGN is false)")
    if params.context is not None and key.type is not KeyType.ML_DSA:
        raise BadItem("context: only ML-DSA keys take a context")
    if params.mode is not None and key.type not in (KeyType.RSA, KeyType.ML_DSA):
        raise BadItem(f"mode: {key.type} keys take none")
    if key.type not in _PLANNERS:
        raise Unsupported("key: its type has no signature mechanism here")
    plans = iter(_PLANNERS[key.type](params, key, token))
    best = next(plans)
    if key.mechanisms is None or best.mechanism in key.mechanisms:
        return best
    for other in plans:
        if other.mechanism in key.mechanisms:
            return other
    raise NotPermitted(f"key: it does not allow {ckm_name(best.mechanism)} (CKA_ALLOWED_MECHANISMS)")


def _rsa(params: SignParams, key: KeyInfo, token: Capabilities) -> Iterator[Plan]:
    digest = _digest(params)
    mode = params.mode or Mode("PKCS1_V15")
    if mode.name == "PKCS1_V15":
        return _rsa_pkcs1(params, digest, key, token)
    if mode.name == "PSS":
        mgf = digest if mode.mgf_hash is None else find_digest(mode.mgf_hash, "mode.PSS.mgf.mgf1.hash")
        return _rsa_pss(params, digest, mgf, key, token)
    raise BadItem("mode: RSA keys take PSS or PKCS1_V15")


def _rsa_pkcs1(params: SignParams, digest: Digest, key: KeyInfo, token: Capabilities) -> Iterator[Plan]:
    """RSASSA-PKCS1-v1_5 (RFC 8017, section 8.2): the token pads, the DigestInfo is ours."""
    size = (key.bits + 7) // 8
    if len(digest.digest_info) + digest.size > size - 11:
        raise Unsupported(f"hash_alg: {digest.name} does not fit an RSA key of {key.bits} bits")
    _require(token, can.RSA_PKCS1)
    hashed = _hasher(params, digest)
    prefix = digest.digest_info
    raw = Plan(CKM_RSA_PKCS, None, lambda payload: prefix + hashed(payload), size)
    yield raw
    yield from _hashing(RSA_PKCS_HASHING, raw, params, digest, token)
    if token.can(can.RSA_RAW):
        yield Plan(CKM_RSA_X_509, None, lambda payload: pkcs1_encode(prefix + hashed(payload), size), size)


def _rsa_pss(params: SignParams, digest: Digest, mgf: Digest, key: KeyInfo, token: Capabilities) -> Iterator[Plan]:
    """RSASSA-PSS (RFC 8017, section 8.1), salt as long as the digest; encoded here where the token's own cannot."""
    if params.deterministic:
        raise Unsupported("deterministic_signature: PSS signatures have a random salt")
    if not pss_fits(key.bits, digest.size, digest.size):
        raise Unsupported(f"hash_alg: PSS with {digest.name} does not fit an RSA key of {key.bits} bits")
    size = (key.bits + 7) // 8
    hashed = _hasher(params, digest)
    if digest.ckm is not None and mgf.ckg is not None and token.can(can.rsa_pss(digest.name, mgf.name)):
        raw = Plan(CKM_RSA_PKCS_PSS, PssParameter(digest.ckm, mgf.ckg, digest.size), hashed, size)
        yield raw
        yield from _hashing(RSA_PSS_HASHING, raw, params, digest, token)
        if not token.can(can.RSA_RAW):
            return
    _require(token, can.RSA_RAW)
    yield Plan(CKM_RSA_X_509, None, lambda payload: pss_encode(digest, mgf, key.bits, hashed(payload)), size)


def _hashing(
    mechanisms: Mapping[str, int], raw: Plan, params: SignParams, digest: Digest, token: Capabilities
) -> Iterator[Plan]:
    """The same by a mechanism that hashes too. Nobody tried it: the token lists it, and its signatures are verified."""
    mechanism = mechanisms.get(digest.name)
    if mechanism in token.mechanisms and not params.prehashed:
        yield replace(raw, mechanism=mechanism, prepare=bytes, raw=raw)


def _ecdsa(params: SignParams, key: KeyInfo, token: Capabilities) -> Iterator[Plan]:
    """ECDSA (FIPS 186-5, section 6.4)."""
    curve = CURVES.get(key.variant or "")
    if curve is None:
        raise Unsupported("key: its curve is not known here")
    return _dsa_like(params, token, can.ECDSA, (CKM_ECDSA, ECDSA_HASHING), curve.order_bytes)


def _dsa(params: SignParams, key: KeyInfo, token: Capabilities) -> Iterator[Plan]:
    """DSA (FIPS 186-4, section 4)."""
    if key.variant is None:
        raise Unsupported("key: its token does not show the length of q (CKA_SUBPRIME)")
    return _dsa_like(params, token, can.DSA, (CKM_DSA, DSA_HASHING), (int(key.variant) + 7) // 8)


def _dsa_like(
    params: SignParams,
    token: Capabilities,
    capability: str,
    mechanisms: tuple[int, Mapping[str, int]],
    order_bytes: int,
) -> Iterator[Plan]:
    """What counts of a digest is its leftmost bytes, as many as the order has; some tokens refuse more.

    mechanisms: the raw one, and those that hash too.
    """
    if params.deterministic:
        raise Unsupported(f"deterministic_signature: PKCS#11 has no deterministic {capability}")
    _require(token, capability)
    digest = _digest(params)
    hashed = _hasher(params, digest)
    raw = Plan(
        mechanisms[0],
        None,
        lambda payload: hashed(payload)[:order_bytes],
        2 * order_bytes,
        partial(ecdsa_der, order_bytes=order_bytes),
    )
    yield raw
    yield from _hashing(mechanisms[1], raw, params, digest, token)


def _edwards(params: SignParams, key: KeyInfo, token: Capabilities) -> Plan:
    """EdDSA (RFC 8032): `data` is signed as it is, `hash` as the prehash of Ed25519ph or Ed448ph.

    What hashes is the curve's to say. `hash_alg` counts for nothing with `data`, which some clients send it with, but a
    `hash` of another is no prehash.
    """
    curve = key.type.value
    size = EDWARDS_SIGNATURE_SIZES[curve]
    if params.prehashed:
        if not token.can(can.edwards_prehash(curve)):
            raise Unsupported(f"hash: it asks for {curve}ph, which this token was not seen to do; send `data`")
        if params.hash_alg is not None and _digest(params).name != EDWARDS_PREHASHES[curve]:
            raise BadItem(f"hash_alg: {curve}ph goes with {EDWARDS_PREHASHES[curve] or 'none'}")
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


_Planner = Callable[[SignParams, KeyInfo, Capabilities], Iterable[Plan]]
"""The plans that come to the same, the best first, and at least one; or it raises an ItemError."""


def _sole(planner: Callable[[SignParams, KeyInfo, Capabilities], Plan]) -> _Planner:
    return lambda params, key, token: (planner(params, key, token),)


_PLANNERS: dict[KeyType, _Planner] = {
    KeyType.RSA: _rsa,
    KeyType.EC: _ecdsa,
    KeyType.ED25519: _sole(_edwards),
    KeyType.ED448: _sole(_edwards),
    KeyType.DSA: _dsa,
    KeyType.ML_DSA: _sole(_ml_dsa),
    KeyType.SLH_DSA: _sole(partial(_message, CKM_SLH_DSA, can.SLH_DSA)),
    KeyType.HSS: _sole(partial(_message, CKM_HSS, KeyType.HSS.value)),
    KeyType.XMSS: _sole(partial(_message, CKM_XMSS, KeyType.XMSS.value)),
    KeyType.XMSSMT: _sole(partial(_message, CKM_XMSSMT, KeyType.XMSSMT.value)),
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
