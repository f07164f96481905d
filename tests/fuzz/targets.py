"""All targets: a new one is a module with a TARGET, and a line here."""

from tests.fuzz import batch, blobs, config, der, frames, http, signatures, tokens, uri

TARGETS = {
    module.TARGET.name: module.TARGET for module in (http, batch, frames, der, signatures, blobs, tokens, config, uri)
}
