"""What a token can do that lets us try nothing: what its mechanism list promises."""

from hsmgate.domain import capabilities as can
from hsmgate.domain.capabilities import Capabilities
from hsmgate.domain.ckm import (
    CKM_DSA,
    CKM_ECDSA,
    CKM_EDDSA,
    CKM_HSS,
    CKM_ML_DSA,
    CKM_RSA_PKCS,
    CKM_RSA_PKCS_PSS,
    CKM_RSA_X_509,
    CKM_SLH_DSA,
    CKM_XMSS,
    CKM_XMSSMT,
)
from hsmgate.domain.mechanisms import ML_DSA_SIGNATURE_SIZES
from hsmgate.domain.model import KeyType


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
