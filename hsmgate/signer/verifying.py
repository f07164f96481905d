"""Verifying on the token, for the curves that no library here knows."""

from asn1crypto.core import ObjectIdentifier, OctetString
from asn1crypto.keys import PublicKeyInfo
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from hsmgate.domain import cka
from hsmgate.domain.curves import CURVES
from hsmgate.domain.model import KeyInfo, KeyType, SignParams
from hsmgate.domain.verification import plan_to_verify
from hsmgate.errors import Unsupported
from hsmgate.signer.sessions import Session, Template
from hsmgate.signer.structs import mechanism


def verify_on_token(session: Session, params: SignParams, key: KeyInfo, payload: bytes, signature: bytes) -> bool:
    """Whether it verifies under a session object made of the public key. Raises ItemError or CryptokiError."""
    if key.type is not KeyType.EC or key.public_key is None or key.variant is None:
        raise Unsupported("key: there is no way to verify under it here")
    curve = CURVES[key.variant]
    planned = plan_to_verify(params, key)
    signed = planned.prepare(payload)
    try:
        r, s = decode_dss_signature(signature)
        raw = r.to_bytes(curve.order_bytes, "big") + s.to_bytes(curve.order_bytes, "big")
    except (ValueError, OverflowError):
        return False
    point = bytes(PublicKeyInfo.load(key.public_key)["public_key"])
    template: Template = {
        cka.CKA_CLASS: cka.CKO_PUBLIC_KEY,
        cka.CKA_KEY_TYPE: cka.CKK_EC,
        cka.CKA_TOKEN: False,
        cka.CKA_VERIFY: True,
        cka.CKA_EC_PARAMS: ObjectIdentifier(curve.oid).dump(),
        cka.CKA_EC_POINT: OctetString(point).dump(),
    }
    handle = session.create(template)
    try:
        return session.verify(handle, mechanism(planned.mechanism, planned.parameter), signed, raw)
    finally:
        session.destroy(handle)
