"""All targets: a new one is a module with a TARGET, and a line here."""

from tests.fuzz import (
    audit,
    batch,
    blobs,
    callers,
    certificates,
    config,
    der,
    frames,
    http,
    jwts,
    key_sets,
    signatures,
    tokens,
    uri,
)

TARGETS = {
    module.TARGET.name: module.TARGET
    for module in (
        http,
        batch,
        frames,
        der,
        signatures,
        blobs,
        tokens,
        jwts,
        key_sets,
        certificates,
        callers,
        config,
        uri,
        audit,
    )
}
