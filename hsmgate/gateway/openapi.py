"""The OpenAPI 3.1 document of the HTTP surface. Every route has its entry in `paths`; a test sees to that."""

from typing import Any

import hsmgate
from hsmgate.gateway.paths import paths
from hsmgate.gateway.schemas import schemas

_CREDENTIALS: list[dict[str, list[str]]] = [{"api_key": []}, {"bearer": []}, {"certificate": []}]


def openapi() -> dict[str, Any]:
    """The document. It says what every gateway of this version does, whatever its config."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "hsmgate",
            "version": hsmgate.__version__,
            "description": "Fortanix DSM's signing API in front of any PKCS#11 HSM. "
            "In requests null is the same as an absent member, and members that are not described are passed over. "
            "Errors of a call are a status and plain text; a method that a path does not have is a 405 with Allow.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": _CREDENTIALS,
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": paths(),
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "api_key": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "The API key, which is base64 of the app's id, a colon and its secret.",
                },
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A session token, an identity provider's JWT, or the API key.",
                },
                "certificate": {
                    "type": "mutualTLS",
                    "description": "A client certificate that the config knows as an app.",
                },
            },
        },
    }


_TAGS = {
    "Signing": "Sign, verify, hash.",
    "Keys": "Find, make, change and destroy keys.",
    "Sessions": "Short-lived tokens for other credentials.",
    "Gateway": "The gateway itself.",
}
