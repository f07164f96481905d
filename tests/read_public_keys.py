"""Prints a token's public keys as JSON: [label, CKA_ID in hex, PEM] for each. Arguments: MODULE LABEL.

It reads them with python-pkcs11's own encoders, so that what signatures are verified with does not come from hsmgate.
"""

import json
import sys

import pkcs11
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from pkcs11 import Attribute, KeyType, ObjectClass
from pkcs11.util.ec import encode_ec_public_key
from pkcs11.util.rsa import encode_rsa_public_key

ENCODERS = {KeyType.EC: encode_ec_public_key, KeyType.RSA: encode_rsa_public_key}


def read(key: pkcs11.PublicKey) -> PublicKeyTypes:
    if key.key_type in ENCODERS:
        return load_der_public_key(ENCODERS[key.key_type](key))
    return Ed25519PublicKey.from_public_bytes(key[Attribute.EC_POINT][-32:])


def describe(key: pkcs11.PublicKey) -> tuple[str, str, str]:
    pem = read(key).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return key[Attribute.LABEL], key[Attribute.ID].hex(), pem


def main(module: str, label: str) -> None:
    with pkcs11.lib(module).get_token(token_label=label).open() as session:
        found = list(session.get_objects({Attribute.CLASS: ObjectClass.PUBLIC_KEY}))
        print(json.dumps([describe(key) for key in found if isinstance(key, pkcs11.PublicKey)]))


if __name__ == "__main__":
    main(*sys.argv[1:])
