"""The config file: what it may say, and how its mistakes are told."""

import hashlib
from pathlib import Path

import pytest

from hsmgate.config import Config, check_listen
from hsmgate.domain.certificates import HOW_TO_WRITE
from hsmgate.domain.policy import Limits, SigningRules
from hsmgate.errors import ConfigError

APP_ID = "5d1e1f52-8a3b-4c6d-9e7f-001122334455"
SHA256 = "ab" * 32

TOKEN = """
[[token]]
name = "demo"
module = "/usr/lib/softhsm/libsofthsm2.so"
uri = "pkcs11:token=hsmgate-demo"
pin_source = "file:pin"
"""

APP = f"""
[[app]]
id = "{APP_ID}"
name = "demo"
secret_sha256 = "{SHA256}"
"""

BARE = f"""
[[app]]
id = "{APP_ID}"
name = "demo"
"""

OTHER = APP_ID[:-1] + "6"
EMPTY = hashlib.sha256(b"").hexdigest()
ONE_OR_TWO = "it is a SHA-256 in hex, or a list of one or two"
CA = "[server]\ntls_certificate = 'c'\ntls_key = 'k'\nclient_ca = 'ca'\n"

IDP = """
[[jwt_provider]]
name = 'idp'
issuer = 'https://i.test'
audience = 'hsmgate'
jwks = 'file:keys.json'
"""
SECOND_IDP = IDP.replace("'idp'", "'pdi'").replace("i.test", "j.test")

# The config that is fixed, with every word of it.
EXAMPLE = f"""
[server]
listen = "127.0.0.1:8080"          # or "unix:/run/hsmgate.sock"
tls_certificate = "tls/cert.pem"   # with tls_key: https
tls_key = "tls/key.pem"
client_ca = "/etc/ssl/ca.pem"
workers = 1
max_body = "16MiB"
max_items = 10000
request_timeout = 30.0
max_waiting = 20000
{TOKEN}
signers = 2
sessions = 1
operation_timeout = 10.0
env = {{ SOFTHSM2_CONF = "softhsm2.conf" }}
init_args = ""
{APP}
keys = ["*"]
operations = ["sign", "verify", "inline", "transient", "manage"]
"""


def load(folder: Path, text: str) -> Config:
    file = folder / "hsmgate.toml"
    file.write_text(text)
    return Config.load(file)


def problems(folder: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(folder, text)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return caught.value.problems


def paths(folder: Path, text: str) -> list[str]:
    return [problem.partition(": ")[0] for problem in problems(folder, text)]


def test_the_fixed_example_loads(tmp_path: Path) -> None:
    config = load(tmp_path, EXAMPLE)
    assert config.server.max_body == 16 * 1024 * 1024
    assert config.token[0].env == {"SOFTHSM2_CONF": "softhsm2.conf"}
    assert config.app[0].operations == ["sign", "verify", "inline", "transient", "manage"]


def test_what_is_left_out_is_as_in_the_fixed_example(tmp_path: Path) -> None:
    config, example = load(tmp_path, TOKEN), load(tmp_path, EXAMPLE)
    tls = {"tls_certificate", "tls_key", "client_ca"}
    assert config.server.model_dump(exclude=tls) == example.server.model_dump(exclude=tls)
    assert config.token[0].model_dump(exclude={"env"}) == example.token[0].model_dump(exclude={"env"})
    assert config.app == []


def test_relative_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hsmgate.toml").write_text(TOKEN)
    monkeypatch.chdir(tmp_path)
    config = Config.load(Path("hsmgate.toml"))
    assert config.folder == tmp_path
    assert config.path("tls/key.pem") == tmp_path / "tls" / "key.pem"
    assert config.path("/etc/key.pem") == Path("/etc/key.pem")


def test_every_worker_needs_a_signer_of_its_own(tmp_path: Path) -> None:
    text = "[server]\nworkers = 3\n" + TOKEN
    (problem,) = problems(tmp_path, text)
    assert problem.startswith(
        "token[0].signers: 2, but server.workers is 3, and every worker needs a signer of its own"
    )
    config = load(tmp_path, text.replace("workers = 3", "workers = 2") + "signers = 5\n")
    assert [config.share(index, 2).token[0].signers for index in range(2)] == [3, 2]
    assert config.share(1, 2).file == config.file


def test_mistakes_of_every_kind_are_reported_at_once_with_their_key_paths(tmp_path: Path) -> None:
    text = f"""
    colour = "red"
    [server]
    listen = "8080"
    workers = 65
    max_body = "16MB"
    max_items = 0
    request_timeout = "30"
    max_waiting = 1.5
    TLS_key = "x"
    [[token]]
    name = "a b"
    uri = "pkcs11:object=k"
    pin_source = "pin"
    signers = 0
    sessions = "1"
    operation_timeout = inf
    env = {{ "A-B" = "x" }}
    init_args = 1
    {TOKEN}
    slot = 1
    [[app]]
    id = "demo"
    name = ""
    secret_sha256 = "abc"
    keys = "*"
    operations = ["sign", "sing"]
    """
    assert sorted(paths(tmp_path, text)) == [
        *("app[0].id", "app[0].keys", "app[0].name", "app[0].operations[1]", "app[0].secret_sha256"),
        "colour",
        *("server.TLS_key", "server.listen", "server.max_body", "server.max_items", "server.max_waiting"),
        *("server.request_timeout", "server.workers"),
        *("token[0].env.A-B.[key]", "token[0].init_args", "token[0].module", "token[0].name"),
        *("token[0].operation_timeout", "token[0].pin_source", "token[0].sessions", "token[0].signers"),
        *("token[0].uri", "token[1].slot"),
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "token: missing"),
        ("token = []", "token: list should have at least 1 item after validation, not 0"),
        (TOKEN + "slot = 1", "token[0].slot: unknown key"),
        (TOKEN + APP + "keys = ['']", "app[0].keys[0]: string should have at least 1 character"),
        ("[server]\ntls_key = 'k'\n" + TOKEN, "server: tls_certificate and tls_key go together"),
        ("[server]\ntls_certificate = 'c'\n" + TOKEN, "server: tls_certificate and tls_key go together"),
        ("[server]\nclient_ca = 'c'\n" + TOKEN, "server: client_ca wants tls_certificate and tls_key"),
        ('"a\\nb\\u001b" = 1\n' + TOKEN, r"a\nb\x1b: unknown key"),
        (TOKEN + "x" * 5000 + " = 1", f"token[0].{'x' * 199}…: unknown key"),
        (TOKEN + TOKEN, "token: name demo stands more than once"),
        (TOKEN + BARE, "app[0]: no credential; it may have secret_sha256, certificates or jwt_subjects"),
        (TOKEN + BARE + "secret_sha256 = []", f"app[0].secret_sha256: {ONE_OR_TWO}"),
        (TOKEN + BARE + f"secret_sha256 = {[SHA256, 'cd' * 32, 'ef' * 32]}", f"app[0].secret_sha256: {ONE_OR_TWO}"),
        (TOKEN + BARE + "secret_sha256 = 7", f"app[0].secret_sha256: {ONE_OR_TWO}"),
        (
            TOKEN + BARE + f"secret_sha256 = {[SHA256, SHA256]}",
            "app[0].secret_sha256: the same SHA-256 stands there twice",
        ),
        (
            TOKEN + BARE + f"secret_sha256 = '{EMPTY}'",
            "app[0].secret_sha256: that is the SHA-256 of nothing, and no secret",
        ),
        (TOKEN + BARE + "certificates = ['dns:h']", "app[0].certificates: wants server.client_ca"),
        (CA + TOKEN + BARE + "certificates = ['h']", f"app[0].certificates[0]: {HOW_TO_WRITE}"),
        (
            CA + TOKEN + BARE + "certificates = []",
            "app[0].certificates: list should have at least 1 item after validation, not 0",
        ),
        (
            CA
            + TOKEN
            + BARE
            + "certificates = ['dns:H', 'dns:i']"
            + BARE.replace(APP_ID, OTHER)
            + "certificates = ['dns:h']",
            "app[1].certificates[0]: stands with app[0] already",
        ),
        ("[server]\nclient_certificates = 'optional'\n" + TOKEN, "server: client_certificates wants client_ca"),
        (TOKEN + BARE + "jwt_subjects = ['s']", "app[0].jwt_subjects: wants a [[jwt_provider]]"),
        (TOKEN + IDP + APP + "jwt_provider = 'idp'", "app[0].jwt_provider: wants jwt_subjects"),
        (
            TOKEN + IDP + BARE + "jwt_subjects = ['s']\njwt_provider = 'x'",
            "app[0].jwt_provider: there is no [[jwt_provider]] of that name",
        ),
        (
            TOKEN + IDP + SECOND_IDP + BARE + "jwt_subjects = ['s']",
            "app[0].jwt_subjects: wants jwt_provider beside it: there is more than one",
        ),
        (
            TOKEN + IDP + BARE + "jwt_subjects = ['s']" + BARE.replace(APP_ID, OTHER) + "jwt_subjects = ['r', 's']",
            "app[1].jwt_subjects[1]: stands with app[0] already",
        ),
        (TOKEN + IDP + IDP.replace("i.test", "j.test"), "jwt_provider: name idp stands more than once"),
        (TOKEN + IDP + IDP.replace("'idp'", "'pdi'"), "jwt_provider: issuer https://i.test stands more than once"),
        (TOKEN + APP + APP.replace(APP_ID, APP_ID.upper()), f"app: id {APP_ID} stands more than once"),
    ],
)
def test_a_mistake_is_one_line_that_says_where_and_what(tmp_path: Path, text: str, problem: str) -> None:
    assert problems(tmp_path, text) == (problem,)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TOKEN * 2 + APP * 2, ["app", "token"]),
        (TOKEN * 2 + "slot = 1", ["token", "token[1].slot"]),
        ("[server]\ntls_key = 'k'\nworkers = 0\n" + TOKEN, ["server", "server.workers"]),
    ],
    ids=["two kinds of doubles", "doubles and an unknown key", "TLS and another value"],
)
def test_mistakes_between_values_are_reported_with_the_others(tmp_path: Path, text: str, expected: list[str]) -> None:
    assert sorted(paths(tmp_path, text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        TOKEN.replace("file:pin", "s3cret"),
        TOKEN.replace("file:pin", "pin:s3cret"),
        TOKEN.replace("file:pin", "command:tell 's3cret"),
        TOKEN.replace("file:pin", "command:'' s3cret"),
        TOKEN.replace("file:pin", "credential:../s3cret"),
        TOKEN.replace('"file:pin"', '["s3cret"]'),
        TOKEN.replace("file:pin", "file:s3cret\\u0000"),
        TOKEN.replace("hsmgate-demo", "demo;pin-value=s3cret"),
        TOKEN.replace("hsmgate-demo", "demo?pin-value=s3cret"),
        TOKEN + "env = { PIN = ['s3cret'] }",
        TOKEN + "init_args = ['s3cret']",
        TOKEN + "pin = 's3cret'",
        TOKEN + APP.replace(SHA256, "s3cret"),
        TOKEN + APP + "secret = 's3cret'",
        "token = 's3cret'",
        "token = s3cret",
        "token = 's3cret",
        "s3cret",
    ],
)
def test_a_value_is_never_echoed(tmp_path: Path, text: str) -> None:
    assert "s3cret" not in "".join(problems(tmp_path, text))


def test_a_secret_is_not_in_what_is_printed_of_a_config(tmp_path: Path) -> None:
    printed = repr(load(tmp_path, EXAMPLE.replace("file:pin", "command:tell s3cret")))
    assert SHA256 not in printed
    assert "s3cret" not in printed


@pytest.mark.parametrize("source", ["file:pin", "env:PIN", "credential:hsm.pin", "command:pass show 'the hsm'"])
def test_a_pin_has_four_kinds_of_sources(tmp_path: Path, source: str) -> None:
    assert load(tmp_path, TOKEN.replace("file:pin", source)).token[0].pin_source == source


@pytest.mark.parametrize(
    "source", ["pin", "file:", "credential:a/b", "credential:..", "command: ", "command:'", "fd:3"]
)
def test_no_other_source_will_do(tmp_path: Path, source: str) -> None:
    assert paths(tmp_path, TOKEN.replace("file:pin", source)) == ["token[0].pin_source"]


@pytest.mark.parametrize(
    ("written", "size"),
    [("2048", 2048), ('"2048"', 2048), ('"2048B"', 2048), ('"64KiB"', 65536), ('" 2 MiB "', 2**21), ('"32MiB"', 2**25)],
)
def test_a_size_may_have_a_unit(tmp_path: Path, written: str, size: int) -> None:
    assert load(tmp_path, f"[server]\nmax_body = {written}\n{TOKEN}").server.max_body == size


@pytest.mark.parametrize("written", ["1023", '"33MiB"', '"1GiB"', '"1.5MiB"', '"-1"', '"16mib"', '""', "true", "2e6"])
def test_no_other_size_will_do(tmp_path: Path, written: str) -> None:
    assert paths(tmp_path, f"[server]\nmax_body = {written}\n{TOKEN}") == ["server.max_body"]


@pytest.mark.parametrize(("written", "seconds"), [("5", 5.0), ("0.5", 0.5), ("86400", 86400.0)])
def test_seconds_may_be_whole_or_broken(tmp_path: Path, written: str, seconds: float) -> None:
    config = load(tmp_path, f"[server]\nrequest_timeout = {written}\n{TOKEN}operation_timeout = {written}")
    assert config.server.request_timeout == config.token[0].operation_timeout == seconds


@pytest.mark.parametrize("written", ["0", "-1", "inf", "nan", "true", "'5'", "86401"])
def test_no_other_seconds_will_do(tmp_path: Path, written: str) -> None:
    assert paths(tmp_path, f"{TOKEN}operation_timeout = {written}") == ["token[0].operation_timeout"]


@pytest.mark.parametrize("address", ["127.0.0.1:8080", "[::1]:0", "localhost:65535", "unix:/run/hsmgate.sock"])
def test_an_address_has_host_and_port_or_is_a_socket(tmp_path: Path, address: str) -> None:
    assert load(tmp_path, f'[server]\nlisten = "{address}"\n{TOKEN}').server.listen == address
    assert check_listen(address) == address


@pytest.mark.parametrize("address", ["", "8080", ":8080", "localhost", "localhost:", "localhost:65536", "h:²", "unix:"])
def test_no_other_address_will_do(tmp_path: Path, address: str) -> None:
    assert paths(tmp_path, f'[server]\nlisten = "{address}"\n{TOKEN}') == ["server.listen"]
    with pytest.raises(ConfigError, match=r"^--listen: "):
        check_listen(address)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"[server\n", "(at line 1, column 8)"),
        (b"[server]\n[server]\n", "(at line 2, column 8)"),
        (b"\xff", "not UTF-8"),
        (None, "No such file or directory"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_problem(tmp_path: Path, content: bytes | None, complaint: str) -> None:
    file = tmp_path / "hsmgate.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        Config.load(file)
    [problem] = caught.value.problems
    assert problem.startswith(f"{file}: ")
    assert problem.endswith(complaint)


@pytest.mark.parametrize("text", ["x = " + "9" * 5000, "x = " + "[" * 5000], ids=["huge number", "deep nesting"])
def test_toml_that_python_cannot_hold_is_one_problem(tmp_path: Path, text: str) -> None:
    assert len(problems(tmp_path, text)) == 1


def test_what_an_app_may_do_is_read_into_its_grant(tmp_path: Path) -> None:
    words = """
    hashes = ["sha256", "Sha3_512"]
    paddings = ["PSS"]
    payloads = ["data"]
    items_per_second = 7
    """
    (bound,) = load(tmp_path, TOKEN + APP + words).app
    rules = SigningRules(frozenset({"SHA256", "SHA3_512"}), frozenset({"PSS"}), frozenset({"data"}))
    assert (bound.grant().rules, bound.grant().limits) == (rules, Limits(per_second=7))
    (free,) = load(tmp_path, TOKEN + APP).app
    assert (free.grant().rules, free.grant().limits) == (SigningRules(), None)


def test_mistakes_in_what_an_app_may_do_are_told_at_once(tmp_path: Path) -> None:
    words = """
    hashes = ["SHA1", "SHA257", 1]
    paddings = ["pss"]
    payloads = []
    items_per_second = 0
    items_in_flight = 1.5
    """
    told = problems(tmp_path, TOKEN + APP + words)
    assert [line.partition(": ")[0] for line in told] == [
        *("app[0].hashes[1]", "app[0].hashes[2]", "app[0].paddings[0]", "app[0].payloads"),
        *("app[0].items_per_second", "app[0].items_in_flight"),
    ]
    assert "unknown hash; there are SHA1, SHA224" in told[0]


def test_an_app_may_have_credentials_of_every_kind(tmp_path: Path) -> None:
    secrets = f"secret_sha256 = {[SHA256.upper(), 'cd' * 32]}\n"
    others = "certificates = ['subject:CN=x,O=Bank', 'ip:::1']\njwt_subjects = ['s']"
    app = load(tmp_path, CA + TOKEN + IDP + BARE + secrets + others).app[0]
    assert app.secret_sha256 == (SHA256, "cd" * 32)
    assert app.jwt_provider == "idp"
    two = load(tmp_path, TOKEN + IDP + SECOND_IDP + BARE + "jwt_subjects = ['s']\njwt_provider = 'pdi'")
    assert two.app[0].jwt_provider == "pdi"


@pytest.mark.parametrize(
    "jwks",
    ["file:k", "https://h/k", "https://h:1/k?x=y", "http://127.0.0.1:8/k", "http://[::1]/k", "http://localhost/k"],
)
def test_keys_come_from_a_file_or_a_url_that_nobody_can_listen_in_on(tmp_path: Path, jwks: str) -> None:
    assert load(tmp_path, TOKEN + IDP.replace("file:keys.json", jwks)).jwt_provider[0].jwks == jwks


@pytest.mark.parametrize(
    "jwks",
    [
        "file:",
        "keys.json",
        "http://h/k",
        "http://127.0.0.1.h/k",
        "https://",
        "https://u:s3cret@h/k",
        "https://h:x/",
        "ftp://h",
    ],
)
def test_from_nowhere_else(tmp_path: Path, jwks: str) -> None:
    (problem,) = problems(tmp_path, TOKEN + IDP.replace("file:keys.json", jwks))
    assert problem.startswith("jwt_provider[0].jwks: ")
    assert "s3cret" not in problem


@pytest.mark.parametrize("algorithm", ["none", "HS256", "ES256K", "rs256"])
def test_a_token_that_its_reader_could_make_is_no_proof(tmp_path: Path, algorithm: str) -> None:
    assert paths(tmp_path, TOKEN + IDP + f"algorithms = ['{algorithm}']") == ["jwt_provider[0].algorithms[0]"]


def test_there_is_no_audit_log_unless_it_is_asked_for(tmp_path: Path) -> None:
    assert load(tmp_path, TOKEN).audit is None
    audit = load(tmp_path, f'{TOKEN}\n[audit]\nfolder = "audit"').audit
    assert audit is not None
    assert (audit.fsync, audit.when_full, audit.head_key, audit.head_interval) == ("second", "refuse", None, 60.0)
    assert audit.rotate_size == 256 * 1024 * 1024


def test_the_audit_logs_words_are_looked_at(tmp_path: Path) -> None:
    words = 'fsync = "often"\nwhen_full = "panic"\nrotate_size = "1KiB"\nhead_key = ""\nhead_interval = 0\nhead = 1'
    names = ("folder", "fsync", "when_full", "rotate_size", "head_key", "head_interval", "head")
    assert paths(tmp_path, f"{TOKEN}\n[audit]\n{words}") == [f"audit.{name}" for name in names]
