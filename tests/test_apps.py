"""`hsmgate app`: the config file is changed, and only where it should be."""

import base64
import hashlib
import os
import resource
import subprocess
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hsmgate.apps import AppFile
from hsmgate.config import App, Config
from hsmgate.errors import AppError, ConfigError
from tests.gateway_process import HSMGATE
from tests.secrets_scan import NOTES
from tests.test_config import APP_ID, SHA256, TOKEN

OTHER_ID = APP_ID[:-1] + "6"
WRITTEN = f"""\
# the top
{TOKEN}
# the first, made by hand
[[app]]
id = "{APP_ID}"   # its id
name = "first"
secret_sha256 = "{SHA256}" # its secret
keys = ["*",
  "b", # for b
]

# ---- the others ----

# the second
[[ app ]]
name = "second"
id = "{OTHER_ID}"
secret_sha256 = "{SHA256}"
# the end
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "hsmgate.toml"
    made.write_text(WRITTEN)
    made.chmod(0o640)
    return made


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*HSMGATE, "app", *map(str, arguments)], capture_output=True, text=True, check=False)
    if arguments[0] in ("add", "rotate"):
        NOTES.api_key(done.stdout.strip())
    NOTES.sight(f"what hsmgate app {arguments[0]} says beside it", done.stderr)
    return done


def app(file: Path, name: str) -> App:
    (found,) = [one for one in Config.load(file).app if one.name == name]
    return found


def is_key_of(api_key: str, one: App) -> bool:
    app_id, _, secret = base64.b64decode(api_key).decode().partition(":")
    return app_id == one.id and hashlib.sha256(secret.encode()).hexdigest() in one.secret_sha256


def test_an_app_is_added_at_the_end_and_nothing_else_changes(file: Path) -> None:
    with AppFile.open(file) as apps:
        app_id, api_key = apps.add("new", ["rsa*", "p256"], ["sign", "manage"])
    assert file.read_text().startswith(WRITTEN)
    made = app(file, "new")
    assert (made.id, made.keys, made.operations) == (app_id, ["rsa*", "p256"], ["sign", "manage"])
    assert is_key_of(api_key, made)
    assert file.stat().st_mode & 0o777 == 0o640
    assert [one.name for one in file.parent.iterdir()] == ["hsmgate.toml"]


def test_a_file_without_a_newline_at_its_end_gets_one(file: Path) -> None:
    file.write_text(WRITTEN.rstrip())
    with AppFile.open(file) as apps:
        apps.add("new", ["*"], ["sign"])
    assert len(Config.load(file).app) == 3


@pytest.mark.parametrize("name_or_id", ["first", APP_ID, APP_ID.upper()])
def test_two_keys_are_valid_while_rotating_and_the_oldest_goes(file: Path, name_or_id: str) -> None:
    keys = []
    for _ in range(3):
        with AppFile.open(file) as apps:
            keys.append(apps.rotate(name_or_id)[1])
    assert [is_key_of(key, app(file, "first")) for key in keys] == [False, True, True]
    with AppFile.open(file) as apps:
        assert apps.revoke_old_keys(name_or_id)[1] == 1
    assert [is_key_of(key, app(file, "first")) for key in keys] == [False, False, True]
    before = file.read_bytes()
    with AppFile.open(file) as apps:
        assert apps.revoke_old_keys(name_or_id)[1] == 0
    assert file.read_bytes() == before
    assert file.read_text() == WRITTEN.replace(SHA256, app(file, "first").secret_sha256[0], 1)


def test_a_rotated_app_may_be_anywhere_and_without_a_key(tmp_path: Path) -> None:
    file = tmp_path / "hsmgate.toml"
    ca = '[server]\ntls_certificate="c"\ntls_key="k"\nclient_ca="c"\n'
    file.write_text(f'[[app]]\nid="{APP_ID}"\nname="x"\ncertificates=["dns:h"]\n\n{ca}{TOKEN}')
    with AppFile.open(file) as apps:
        made, api_key = apps.rotate("x")
    assert made.secret_sha256 == ()
    assert is_key_of(api_key, app(file, "x"))


def test_a_revoked_app_goes_with_its_own_comments_only(file: Path) -> None:
    with AppFile.open(file) as apps:
        apps.revoke("first")
    start, end = WRITTEN.index("# the first"), WRITTEN.index("# ----")
    assert file.read_text() == WRITTEN[:start] + WRITTEN[end:]
    with AppFile.open(file) as apps:
        apps.revoke(OTHER_ID)
    assert file.read_text() == WRITTEN[:start] + "# ---- the others ----\n\n# the end\n"


def test_windows_line_ends_stay(file: Path) -> None:
    file.write_bytes(WRITTEN.replace("\n", "\r\n").encode())
    with AppFile.open(file) as apps:
        apps.revoke("first")
    start, end = WRITTEN.index("# the first"), WRITTEN.index("# ----")
    assert file.read_bytes() == (WRITTEN[:start] + WRITTEN[end:]).replace("\n", "\r\n").encode()


@pytest.mark.parametrize(
    "name",
    [
        '"',
        "'''",
        "\\",
        "a\nb",
        "[[app]]",
        "\n[[app]]\n",
        "# no",
        "\u2028[x]",
        "\x7f\x1b",
        "naïve 🔑",
        "-x",
        "{}",
        "a" * 5000,
    ],
)
def test_names_may_be_odd(file: Path, name: str) -> None:
    with AppFile.open(file) as apps:
        apps.add(name, [name], ["sign"])
    with AppFile.open(file) as apps:
        key = apps.rotate(name)[1]
    assert is_key_of(key, app(file, name))
    with AppFile.open(file) as apps:
        apps.revoke(name)
    assert file.read_text() == WRITTEN + "\n"


def test_what_cannot_be_is_said_and_leaves_the_file(file: Path) -> None:
    file.write_text(WRITTEN.replace("second", "first"))
    before = file.read_bytes()
    with AppFile.open(file) as apps:
        for name, said in (("first", "2 apps .* by its id"), ("nobody", "no app of that name")):
            with pytest.raises(AppError, match=said):
                apps.rotate(name)
            with pytest.raises(AppError, match=said):
                apps.revoke(name)
        for name, keys, problem in (("", ["*"], r"app\[2\].name: "), ("x", [""], r"app\[2\].keys\[0\]: ")):
            with pytest.raises(ConfigError, match=problem):
                apps.add(name, keys, ["sign"])
        with pytest.raises(ConfigError, match="operations"):
            apps.add("x", ["*"], ["sing"])
        with pytest.raises(AppError, match="there already"):
            apps.add("first", ["*"], ["sign"])
        with pytest.raises(AppError, match="not UTF-8"):
            apps.add("\udcff", ["*"], ["sign"])
    assert file.read_bytes() == before
    assert [one.name for one in file.parent.iterdir()] == ["hsmgate.toml"]


def test_apps_that_are_written_inline_are_left_alone(file: Path) -> None:
    text = f'app = [{{ id = "{APP_ID}", name = "x", secret_sha256 = "{SHA256}" }}]\n{TOKEN}'
    file.write_text(text)
    with AppFile.open(file) as apps:
        with pytest.raises(AppError, match="by hand"):
            apps.add("y", ["*"], ["sign"])
        with pytest.raises(AppError, match="by hand"):
            apps.revoke("x")
    assert file.read_text() == text


def test_a_file_that_is_wrong_already_is_not_touched(file: Path) -> None:
    file.write_text(WRITTEN + "colour = 1\n")
    done = run("add", "new", "--config", file)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "hsmgate: app[1].colour: unknown key\n")


def test_the_key_is_alone_on_stdout_and_no_list_shows_a_secret(file: Path) -> None:
    done = run("add", "new\x1b", "--config", file, "--keys", "a", "b*", "--operations", "verify")
    assert done.returncode == 0
    made = app(file, "new\x1b")
    assert is_key_of(done.stdout.removesuffix("\n"), made)
    assert made.id in done.stderr
    again = run("rotate", made.id, "--config", file)
    assert is_key_of(again.stdout.removesuffix("\n"), app(file, "new\x1b"))
    listed = run("list", "--config", file)
    lines = [line.split("\t") for line in listed.stdout.splitlines()]
    assert lines[-1] == [made.id, "new\\x1b", "API keys: 2", "verify with a b*"]
    everything = listed.stdout + done.stderr + again.stderr
    secrets = [base64.b64decode(key).decode().partition(":")[2] for key in (done.stdout, again.stdout)]
    assert not any(secret in everything or secret in file.read_text() for secret in secrets)
    assert run("revoke", made.id, "--config", file).returncode == 0
    assert file.read_text() == WRITTEN + "\n"


def test_an_app_that_may_use_every_key_is_not_made_without_a_word(file: Path) -> None:
    done = run("add", "new", "--config", file)
    notice, made = done.stderr.splitlines()
    assert notice.startswith("notice: this app may use every key (sign verify); to restrict it, ")
    assert app(file, "new").id in made
    assert app(file, "new").keys == ["*"]
    assert "notice" not in run("add", "chosen", "--config", file, "--keys", "*").stderr


def test_a_key_that_nobody_took_is_an_error(file: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*HSMGATE, "app", "add", "new", "--config", str(file)], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 1
    assert b"could not be printed" in done.stderr
    assert b"Traceback" not in done.stderr


def test_commands_at_once_lose_nothing(file: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        done = [*pool.map(lambda number: run("add", f"app {number}", "--config", file), range(3))]
    assert {one.returncode for one in done} == {0}
    assert all(is_key_of(one.stdout, app(file, f"app {number}")) for number, one in enumerate(done))
    assert file.read_text().startswith(WRITTEN)


def test_a_full_disk_leaves_the_file(file: Path) -> None:
    file.write_text(WRITTEN + "# " + "x" * 5000)
    before = file.read_bytes()

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    done = subprocess.run(
        [*HSMGATE, "app", "rotate", "first", "--config", str(file)], preexec_fn=limit, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.count(b"\n") == 1
    assert file.read_bytes() == before
    assert [one.name for one in file.parent.iterdir()] == ["hsmgate.toml"]


def test_a_link_stays_a_link(file: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    link = tmp_path / "folder" / "link.toml"
    link.symlink_to(file)
    with AppFile.open(link) as apps:
        apps.add("new", ["*"], ["sign"])
    assert link.is_symlink()
    assert len(tomllib.loads(file.read_text())["app"]) == 3


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_the_owner_stays(file: Path) -> None:
    os.chown(file, 12345, 23456)
    with AppFile.open(file) as apps:
        apps.rotate("first")
    assert (file.stat().st_uid, file.stat().st_gid) == (12345, 23456)
