"""Attacks that other tests try: what they are, what they give, and which tests."""

HELD = [
    (
        "Inline keys that crash parsers: e = 1, even, tiny, huge moduli, points off the curve, cut DER",
        "400 for the item; its neighbours are signed",
        "test_inline, test_hostile_keys, `make fuzz`",
    ),
    (
        "A transient key's blob: each byte flipped, expired, of another app, for another operation, of another token",
        "400 or 403; unwrapped only after its seal was compared",
        "test_brought_keys, test_envelope",
    ),
    (
        "Another request's inline key by name, kid or handle",
        "404: it has neither",
        "test_brought_keys",
    ),
    (
        "JWTs: `none`, HS256 with the public key, a `jwk` of its own, paths as `kid`, expired, another `aud` or `iss`",
        "401",
        "test_jwts, test_credentials",
    ),
    (
        "Session tokens: another gateway's secret, after idleness, revocation or the certificate's end",
        "401",
        "test_sessions, test_credentials",
    ),
    (
        "Client certificates: another CA, another name, expired, a session resumed after its CA was removed",
        "no connection, or 401",
        "test_tls, test_credentials, test_certificates",
    ),
    (
        "Names of keys by status, text, headers, listings, conflicts of new names and public keys",
        "the same for a key that is not there and for another app's",
        "test_policy, test_verify_and_list",
    ),
    (
        "Slow senders of heads and bodies, slow takers of answers, callers that vanish",
        "cut off after `request_timeout`; their waiting items are dropped",
        "test_slow_and_gone, `make faults`",
    ),
    (
        "Items that kill a signer, to harm the others in their message",
        "500 for it after three deaths; all others are signed",
        "`make faults`: poison items",
    ),
    (
        "The audit log: lines changed, removed, moved, cut off, made anew; heads left out, by another key; full disks",
        "`audit verify` names file and line; nothing unrecorded leaves",
        "tests/domain/test_audit, tests/e2e/test_audit",
    ),
    (
        "Plain http where others listen; a unix socket that is somebody's; keys and PINs that all may read",
        "refused; refused; a warning",
        "test_preflight, test_commands",
    ),
    (
        "Cores, descriptors, environment and new rights of a signer; signers that outlive the gateway",
        "none",
        "test_confinement",
    ),
    (
        "PINs, keys and messages in logs, errors, command lines, environments and tracebacks",
        "none: every run of the tests looks for all of its own",
        "secrets_scan, test_nothing_secret_gets_out",
    ),
    (
        "A wrong PIN tried again and again until the token locks itself",
        "tried once, by all signers together",
        "test_commands, test_key_attributes, `make faults`",
    ),
]
