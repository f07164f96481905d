"""Items to verify: a public key and a signature, both from the caller, as the signer verifies them."""

from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key

from hsmgate.domain.model import Mode, SignParams
from hsmgate.domain.verification import verify_item
from hsmgate.errors import BadItem, Unsupported
from hsmgate.signer.inline import public_part
from tests.fuzz.der import OBJ_TYPES, private_keys, public_keys
from tests.fuzz.target import Target, check_text

PAYLOAD = b"attack at dawn"
PARAMS = (
    SignParams("SHA256", prehashed=False),
    SignParams("SHA256", prehashed=False, mode=Mode("PSS")),
    SignParams("SHA1", prehashed=False, mode=Mode("PSS", "SHA512")),
    SignParams("SHA256", prehashed=False, mode=Mode("PRE_HASH"), context=b"c"),
    SignParams(None, prehashed=False),
    SignParams("SHA256", prehashed=True),
)


def check(data: bytes) -> None:
    """A verdict, or an item's error; and nothing verifies under a key of ours that was not made with it.

    The first byte says how it was signed and what the key is, two say how long the key is; the rest is the signature.
    """
    number, size = data[:1].ljust(1, b"\0")[0], int.from_bytes(data[1:3], "big")
    value, signature = data[3 : 3 + size], data[3 + size :]
    params = PARAMS[number // 4 % len(PARAMS)]
    try:
        key = public_part(value, OBJ_TYPES[number % 4])
        verdict = verify_item(params, key, bytes(32) if params.prehashed else PAYLOAD, signature)
    except (BadItem, Unsupported) as error:
        check_text(str(error), value, signature)
        return
    assert verdict in (True, False, None)
    known = _signatures()
    assert not verdict or value not in known or signature in known[value], "a signature verifies that nobody made"


@cache
def _signatures() -> dict[bytes, list[bytes]]:
    """Right ones, by their public key."""
    return {
        spki: _sign(load_der_private_key(der, None))
        for (_, der), (_, spki) in zip(private_keys(), public_keys(), strict=True)
    }


def _sign(key: Any) -> list[bytes]:
    sha1, sha256, sha512 = hashes.SHA1(), hashes.SHA256(), hashes.SHA512()
    match key:
        case rsa.RSAPrivateKey():
            pss, mixed = padding.PSS(padding.MGF1(sha256), 32), padding.PSS(padding.MGF1(sha512), 20)
            wanted = ((padding.PKCS1v15(), sha256), (pss, sha256), (mixed, sha1))
            return [key.sign(PAYLOAD, *how) for how in wanted]
        case ec.EllipticCurvePrivateKey():
            return [key.sign(PAYLOAD, ec.ECDSA(sha256))]
        case dsa.DSAPrivateKey():
            return [key.sign(PAYLOAD, sha256)]
        case _:
            return [key.sign(PAYLOAD)]


def seeds() -> list[bytes]:
    found = []
    for place, spki in public_keys():
        for number, signature in enumerate(_signatures()[spki]):
            found.append(bytes((place + 4 * number,)) + len(spki).to_bytes(2, "big") + spki + signature)
    return found


TARGET = Target(
    name="signatures",
    reads="items to verify: an inline public key and a signature",
    promise="a verdict, or an item's 400 or 422; nothing verifies under a known key that was not made with it",
    check=check,
    seeds=seeds,
    words=(b"\x30\x45\x02\x21\x00", b"\x30\x44\x02\x20", b"\x02\x01\x00"),
    longest=9000,
)
