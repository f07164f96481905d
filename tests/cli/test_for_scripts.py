"""`--json` of the commands that need no gateway."""

import json
from pathlib import Path

from hsmgate.domain.audit.records import Call, time_text
from hsmgate.gateway.audit.chain import Chain
from tests.cli.shell import Shell
from tests.token_tool import Demo


def test_check_tells_what_it_tells_people(shell: Shell, demo: Demo) -> None:
    told = json.loads(shell.said("check", "--config", demo.config, "--json"))
    (token,) = told["tokens"]
    assert (told["good"], told["problems"], token["name"]) == (True, [], "demo")
    assert [slot["label"] for slot in token["slots"] if slot["chosen"]] == ["hsmgate-demo"]
    assert {"p256", "rsa2048"} <= {key["name"] for key in token["keys"]}
    assert "ECDSA" in token["can"]


def test_check_tells_of_a_token_that_cannot_be_opened(shell: Shell, demo: Demo) -> None:
    config = shell.folder / "config.toml"
    config.write_text(demo.config.read_text())  # whose PIN is elsewhere
    done = shell.run("check", "--config", config, "--json")
    told = json.loads(done.out)
    assert (done.code, done.err, told["good"]) == (1, "", False)
    assert "pin" in told["tokens"][0]["error"]


def test_apps_are_listed_without_their_secrets(shell: Shell, demo: Demo) -> None:
    (app,) = json.loads(shell.said("app", "list", "--config", demo.config, "--json"))
    assert (app["name"], app["api_keys"], app["keys"]) == ("demo", 1, ["*"])
    assert "secret_sha256" not in app


def test_audit_files_are_judged(shell: Shell) -> None:
    chain = Chain(shell.folder, 4096, None, withhold=True)
    chain.append(
        Call(time=time_text(0), action="import", request="r", app="a", app_name="a", address="unix", status=201)
    )
    chain.close()
    file: Path = chain.file.path
    done = shell.run("audit", "verify", "--json", file)
    (told,) = json.loads(done.out)["chains"]
    assert (done.code, told["chain"], told["lines"]) == (1, chain.id, 2)
    assert "not closed" in told["problems"][0]
