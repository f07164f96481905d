"""API keys: base64("<app uuid>:<secret>") (contract: dsm-wire, section 2.1)."""

import base64
import hashlib
import secrets

SECRET_BYTES = 48


def make_api_key(app_id: str) -> tuple[str, str]:
    """A new API key for the app, and the SHA-256 of its secret in hex: all that the config holds of it.

    The secret is of letters, digits, - and _, so both base64 alphabets write the key alike for every client.
    """
    secret = secrets.token_urlsafe(SECRET_BYTES)
    return base64.b64encode(f"{app_id}:{secret}".encode()).decode(), hashlib.sha256(secret.encode()).hexdigest()
