"""Makes keys on a token and prints its public keys. Run: MODULE INIT_ARGS TOKEN PIN_FILE WANTED.

WANTED is JSON: [title, label] for each key; those that are there are kept. Printed is JSON as well: [label, CKA_ID in
hex, SubjectPublicKeyInfo in base64] for each public key. What signatures are verified with is read off the token here
and encoded by asn1crypto and `cryptography`, so it does not come from hsmgate's own reading.
"""

import base64
import json
import sys
import uuid
from pathlib import Path
from typing import Any

from asn1crypto.core import ObjectIdentifier, OctetString
from asn1crypto.keys import ECDomainParameters, PublicKeyInfo
from cryptography.hazmat.primitives.asymmetric import mldsa
from cryptography.hazmat.primitives.asymmetric.dsa import DSAParameterNumbers, DSAPublicNumbers
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hsmgate.signer.cryptoki import Module
from hsmgate.signer.sessions import AttributeValue, Session
from hsmgate.signer.structs import mechanism
from tests.conformance.keys import DSA_G, DSA_P, DSA_Q

# PKCS#11 3.2, pkcs11t.h.
CKA_CLASS, CKA_TOKEN, CKA_PRIVATE, CKA_LABEL, CKA_VALUE, CKA_KEY_TYPE, CKA_ID = 0x0, 0x1, 0x2, 0x3, 0x11, 0x100, 0x102
CKA_SENSITIVE, CKA_SIGN, CKA_VERIFY = 0x103, 0x108, 0x10A
CKA_MODULUS, CKA_MODULUS_BITS, CKA_PUBLIC_EXPONENT = 0x120, 0x121, 0x122
CKA_PRIME, CKA_SUBPRIME, CKA_BASE = 0x130, 0x131, 0x132
CKA_EC_PARAMS, CKA_EC_POINT, CKA_PARAMETER_SET = 0x180, 0x181, 0x61D
CKO_PUBLIC_KEY = 2
CKK_RSA, CKK_DSA, CKK_EC_EDWARDS, CKK_ML_DSA = 0x0, 0x1, 0x40, 0x4A
CKM_RSA_PKCS_KEY_PAIR_GEN, CKM_DSA_KEY_PAIR_GEN, CKM_ML_DSA_KEY_PAIR_GEN = 0x0, 0x10, 0x1C
CKM_EC_KEY_PAIR_GEN, CKM_EC_EDWARDS_KEY_PAIR_GEN = 0x1040, 0x1055

OIDS = {
    "P-192": "1.2.840.10045.3.1.1",
    "P-224": "1.3.132.0.33",
    "P-256": "1.2.840.10045.3.1.7",
    "P-384": "1.3.132.0.34",
    "P-521": "1.3.132.0.35",
    "secp224k1": "1.3.132.0.32",
    "secp256k1": "1.3.132.0.10",
    "brainpoolP256r1": "1.3.36.3.3.2.8.1.1.7",
    "brainpoolP320r1": "1.3.36.3.3.2.8.1.1.9",
    "brainpoolP384r1": "1.3.36.3.3.2.8.1.1.11",
    "brainpoolP512r1": "1.3.36.3.3.2.8.1.1.13",
    "Ed25519": "1.3.101.112",
    "Ed448": "1.3.101.113",
}
EDWARDS: dict[int, Any] = {32: Ed25519PublicKey, 57: Ed448PublicKey}
ML_DSA: dict[int, Any] = {1: mldsa.MLDSA44PublicKey, 2: mldsa.MLDSA65PublicKey, 3: mldsa.MLDSA87PublicKey}

Template = dict[int, AttributeValue]


def recipe(title: str) -> tuple[int, Template]:
    """The mechanism that makes such a key, and what its public template says."""
    if title.startswith("RSA"):
        return CKM_RSA_PKCS_KEY_PAIR_GEN, {CKA_MODULUS_BITS: int(title[4:]), CKA_PUBLIC_EXPONENT: b"\x01\x00\x01"}
    if title.startswith("DSA"):
        return CKM_DSA_KEY_PAIR_GEN, {CKA_PRIME: octets(DSA_P), CKA_SUBPRIME: octets(DSA_Q), CKA_BASE: octets(DSA_G)}
    if title.startswith("ML-DSA"):
        return CKM_ML_DSA_KEY_PAIR_GEN, {CKA_PARAMETER_SET: {"44": 1, "65": 2, "87": 3}[title[-2:]]}
    generator = CKM_EC_EDWARDS_KEY_PAIR_GEN if title.startswith("Ed") else CKM_EC_KEY_PAIR_GEN
    return generator, {CKA_EC_PARAMS: ObjectIdentifier(OIDS[title]).dump()}


def octets(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def make(session: Session, title: str, label: str) -> None:
    generator, public = recipe(title)
    both: Template = {CKA_TOKEN: True, CKA_LABEL: label.encode(), CKA_ID: uuid.uuid4().bytes}
    private: Template = {CKA_PRIVATE: True, CKA_SENSITIVE: True, CKA_SIGN: True}
    session.generate_key_pair(mechanism(generator, None), both | {CKA_VERIFY: True} | public, both | private)


def read(session: Session, handle: int) -> tuple[str, str, str]:
    attributes = session.read(handle, (CKA_LABEL, CKA_ID, CKA_KEY_TYPE))
    spki = subject_public_key_info(session, handle, int.from_bytes(attributes[CKA_KEY_TYPE], sys.byteorder))
    return attributes[CKA_LABEL].decode(), attributes[CKA_ID].hex(), base64.b64encode(spki).decode()


def subject_public_key_info(session: Session, handle: int, key_type: int) -> bytes:
    def number(type_: int) -> int:
        return int.from_bytes(session.read(handle, [type_])[type_], "big")

    if key_type == CKK_RSA:
        return _encode(RSAPublicNumbers(number(CKA_PUBLIC_EXPONENT), number(CKA_MODULUS)).public_key())
    if key_type == CKK_DSA:
        parameters = DSAParameterNumbers(number(CKA_PRIME), number(CKA_SUBPRIME), number(CKA_BASE))
        return _encode(DSAPublicNumbers(number(CKA_VALUE), parameters).public_key())
    if key_type == CKK_ML_DSA:
        shown = session.read(handle, (CKA_PARAMETER_SET, CKA_VALUE))
        return _encode(
            ML_DSA[int.from_bytes(shown[CKA_PARAMETER_SET], sys.byteorder)].from_public_bytes(shown[CKA_VALUE])
        )
    shown = session.read(handle, (CKA_EC_PARAMS, CKA_EC_POINT))
    return _elliptic(key_type, shown[CKA_EC_PARAMS], shown[CKA_EC_POINT])


def _elliptic(key_type: int, params: bytes, point: bytes) -> bytes:
    if key_type == CKK_EC_EDWARDS:
        raw = point if len(point) in EDWARDS else OctetString.load(point).native  # NSS keeps it raw
        return _encode(EDWARDS[len(raw)].from_public_bytes(raw))
    algorithm = {"algorithm": "ec", "parameters": ECDomainParameters.load(params)}
    raw = OctetString.load(point).native if _is_der(point) else point
    return bytes(PublicKeyInfo({"algorithm": algorithm, "public_key": raw}).dump())


def _is_der(point: bytes) -> bool:
    """Whether it is a whole OCTET STRING around an uncompressed point, and not the point itself: both begin with 04."""
    header = 2 if point[1] < 0x80 else 3
    return point[header] == 0x04 and len(point) - header == point[header - 1]


def _encode(key: Any) -> bytes:
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded


def main(path: str, init_args: str, label: str, pin_file: str, wanted: str) -> None:
    module = Module(path, init_args)
    slot_id = next(token.slot_id for token in module.tokens() if token.label == label)
    session = Session(module, slot_id)
    session.login(Path(pin_file).read_text().strip())
    there = {read(session, handle)[0] for handle in session.find({CKA_CLASS: CKO_PUBLIC_KEY, CKA_TOKEN: True})}
    for title, name in json.loads(wanted):
        if name not in there:
            make(session, title, name)
    found = session.find({CKA_CLASS: CKO_PUBLIC_KEY, CKA_TOKEN: True})
    print(json.dumps([read(session, handle) for handle in found]))


if __name__ == "__main__":
    main(*sys.argv[1:])
