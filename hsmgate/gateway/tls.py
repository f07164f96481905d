"""TLS, as the config has it."""

import ssl

from hsmgate.config import Config
from hsmgate.errors import ConfigError


def server_context(config: Config) -> ssl.SSLContext | None:
    """The TLS side of the listener, None for plain http. Raises ConfigError."""
    server = config.server
    if server.tls_certificate is None or server.tls_key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(config.path(server.tls_certificate), config.path(server.tls_key))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError([f"server.tls_certificate, server.tls_key: {error.strerror or error}"]) from None
    if server.client_ca is not None:
        try:
            context.load_verify_locations(config.path(server.client_ca))
        except (OSError, ssl.SSLError) as error:
            raise ConfigError([f"server.client_ca: {error.strerror or error}"]) from None
        required = server.client_certificates == "required"
        context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    return context
