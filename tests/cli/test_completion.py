"""`hsmgate completion`, in the shells that it is for."""

import shutil
import subprocess

import pytest

from tests.cli.shell import Shell

ASK_BASH = """
source completion
COMP_WORDS=({words})
COMP_CWORD=$(({count} - 1))
COMP_LINE="{words}"
COMP_POINT=${{#COMP_LINE}}
function=$(complete -p hsmgate | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
$function hsmgate "${{COMP_WORDS[-1]}}" "${{COMP_WORDS[-2]}}"
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


COMPLETED = {
    "hsmgate ke": {"keys"},
    "hsmgate keys ge": {"generate"},
    "hsmgate keys generate --type mldsa": {"mldsa44", "mldsa65", "mldsa87"},
    "hsmgate sign --padd": {"--padding"},
    "hsmgate sign --key k --padding p": {"pss", "pkcs1"},
    "hsmgate check --config hsm": {"hsmgate.toml"},
}


def test_bash_completes(shell: Shell) -> None:
    (shell.folder / "completion").write_text(shell.said("completion", "bash"))
    (shell.folder / "hsmgate.toml").touch()
    for words, completed in COMPLETED.items():
        script = ASK_BASH.format(words=words, count=len(words.split()))
        done = subprocess.run(
            ["bash", "--norc", "-eu", "-c", script], cwd=shell.folder, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert {*done.stdout.split()} == completed


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_shells_accept_what_is_for_them(shell: Shell, name: str) -> None:
    (shell.folder / "completion").write_text(shell.said("completion", name))
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not there")
    done = subprocess.run([name, "-n", "completion"], cwd=shell.folder, capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
