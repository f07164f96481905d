"""[[app]] and [[jwt_provider]]: who may call, and who vouches for them."""

from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from hsmgate.config.credentials import check_certificate, check_jwks, read_secrets
from hsmgate.config.words import Name, Section, Text
from hsmgate.domain.digests import DIGESTS
from hsmgate.domain.policy import Grant, Limits, SigningRules

Operation = Literal["sign", "verify", "inline", "transient", "manage"]
JwtAlgorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]  # with public keys only: who can verify must not be able to sign


def _hash_name(value: str) -> str:
    if value.upper() not in DIGESTS:
        raise ValueError(f"unknown hash; there are {', '.join(DIGESTS)}")
    return value.upper()


def _app_id(value: str) -> str:
    return value.lower()


_UUID = r"(?i)^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"

Certificate = Annotated[str, AfterValidator(check_certificate)]
Hash = Annotated[str, AfterValidator(_hash_name)]


class JwtProvider(Section):
    """[[jwt_provider]]: an identity provider, whose JWTs (RFC 7519) show who calls."""

    name: Name
    """your name for it (`A-Z a-z 0-9 _ . -`)"""

    issuer: Text
    """the `iss` of its tokens, exactly; it tells the providers apart"""

    audience: Text
    """what must be in their `aud`"""

    jwks: Annotated[Text, AfterValidator(check_jwks)]
    """its public keys (RFC 7517): `"https://…"`, `"http://…"` on this machine only, or `"file:PATH"`"""

    algorithms: Annotated[list[JwtAlgorithm], Field(min_length=1)] = list(get_args(JwtAlgorithm))
    """what its tokens may be signed with. There is no `none` and no `HS256`"""


class App(Section):
    """[[app]]: who may call, and what it may do."""

    id: Annotated[str, StringConstraints(pattern=_UUID), AfterValidator(_app_id)]
    """UUID"""

    name: Text
    """for people"""

    secret_sha256: Annotated[tuple[str, ...], BeforeValidator(read_secrets)] = Field(default=(), repr=False)
    """SHA-256 of the API key's secret, in hex; or a list of one or two, oldest first: both are valid while the key is
    replaced"""

    certificates: Annotated[list[Certificate], Field(min_length=1)] | None = None
    """client certificates that are this app, each by one of its names: `"subject:CN=client-1,O=Bank"`, `"dns:HOST"`,
    `"email:ADDRESS"`, `"uri:URI"`, `"ip:ADDRESS"`"""

    jwt_subjects: Annotated[list[Text], Field(min_length=1)] | None = None
    """the `sub` of JWTs that are this app, exactly"""

    jwt_provider: Text | None = None
    """the name of the `[[jwt_provider]]` that they come from; not needed where there is only one"""

    keys: list[Text] = ["*"]
    """what it may use: key names, in which `*` stands for anything and `?` for one character, or kids"""

    operations: list[Operation] = ["sign", "verify"]
    """of `sign`, `verify`, `inline`, `transient`, `manage`"""

    hashes: list[Hash] | None = None
    """the hashes that it may sign with, MGF1's too, in any case; without this, all. What needs no hash (Ed25519 and
    Ed448, ML-DSA over `data`) is allowed whatever stands here, unless the item names a hash. With a `hash`, an
    item must name it then"""

    paddings: list[Literal["PKCS1_V15", "PSS"]] = ["PKCS1_V15", "PSS"]
    """of RSA keys, those that it may sign with"""

    payloads: Annotated[list[Literal["data", "hash"]], Field(min_length=1)] = ["data", "hash"]
    """`["data"]`: it may have only what it sends whole signed, never a digest that was made elsewhere"""

    items_per_second: Annotated[int, Field(ge=1)] | None = None
    """so many items, signed or verified; a second's worth may come at once. Without this, any number"""

    items_in_flight: Annotated[int, Field(ge=1)] | None = None
    """so many items, signed or verified, whose calls are not answered yet; without this, any number"""

    def grant(self) -> Grant:
        """What all this allows it."""
        hashes = None if self.hashes is None else frozenset(self.hashes)
        rules = SigningRules(hashes, frozenset(self.paddings), frozenset(self.payloads))
        return Grant.of(self.keys, self.operations, rules, Limits(self.items_per_second, self.items_in_flight))
