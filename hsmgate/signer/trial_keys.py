"""Keys to try a token with: made in software, used once, worth nothing."""

from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

# p, q and g take seconds to make and are no secret (FIPS 186-4, section 4.3).
_DSA = dsa.DSAParameterNumbers(
    p=int(
        "f03ad5b052461b1f9108c8ab2abca0c570afa4ae14d497038074e435bef3c618b845fe335f3686d0036acfd0aa9a695b1343fa835631d880"
        "5d09698dea54a07a7803fbce9146e7875db3e1cb8461eca8d41499227eb101583b7c210bb651278ee83d801e42f2d69226724b4695a3a79f"
        "64606244e0792402353d9d91e8ba837f63339db9c4031d78cdcf1b4c20762b4ec63d019c8a80c90a7b3eb6c879a243305855f6b1aba86f30"
        "c1f64c87bc3c2866ad43a2cc9e428dfced77c94180b66aeaa9868c456748d3d0d99b25ffb6240a76c51853c1cd551a6d849d35559f1fa90f"
        "18aebb69f39ac9f22ae1542dd98a2ba43ca48e251d4eb300fa49813f64ea2559",
        16,
    ),
    q=int("dd2cf349aa0aa5d554b4660effc335d408da863625dccee439adb48aa10a2969", 16),
    g=int(
        "bb9d2b7c37ffbb7bf69892dcd1239cf60caac74663767854f7366b33f2bd599a248a36bce1ab9e9e0cdf94e7d92f350b3e96cb733e1a9494"
        "6cd0d90fcd1bb58620929f2b877f6a77054542d6538d3fa02c388b1de3dec0adf1a58303530883a2756dac0c7c88a85a5da486bbb9b90772"
        "40ff1df04f5070d107a8529773db8e860050fb3715c35a8f493926210fac38fac6a26e890fd4f5489eb605c0f3dfd37b2140d51d7ed238cb"
        "496f1b3fabc6b9e313ea8074b2bd18013874808f2cc52fc4dfb5754fad52920c5a0097e3e5f755237ddce3eac949547e0db13809deddbe01"
        "2b48e966a532eae2e2f35386053cb1f74bcec86f087c19264c04c23ee5cd7acc",
        16,
    ),
)

_MAKERS: dict[str, tuple[str, Callable[[], PrivateKeyTypes]]] = {
    "RSA": ("RSA", lambda: rsa.generate_private_key(65537, 2048)),
    "NistP256": ("EC", lambda: ec.generate_private_key(ec.SECP256R1())),
    "NistP384": ("EC", lambda: ec.generate_private_key(ec.SECP384R1())),
    "Ed25519": ("EC", ed25519.Ed25519PrivateKey.generate),
    "Ed448": ("EC", ed448.Ed448PrivateKey.generate),
    "DSA": ("DSA", lambda: _DSA.parameters().generate_private_key()),
    "MlDsa44": ("MLDSA", mldsa.MLDSA44PrivateKey.generate),
    "MlDsa65": ("MLDSA", mldsa.MLDSA65PrivateKey.generate),
    "MlDsa87": ("MLDSA", mldsa.MLDSA87PrivateKey.generate),
}


def make_trial_key(kind: str) -> tuple[bytes, str]:
    """DER PKCS#8 of a new private key, and the `obj_type` that an inline key of it has."""
    obj_type, make = _MAKERS[kind]
    return make().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()), obj_type
