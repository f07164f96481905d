"""The wheel and the sdist: what is in them, and that they install and run."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

import hsmgate
from tests.token_tool import Demo

ROOT = Path(__file__).parents[2]
DIST_INFO = f"hsmgate-{hsmgate.__version__}.dist-info"


@dataclass(frozen=True)
class Built:
    """What was built of a copy of the tree."""

    wheel: Path
    sdist: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("packages")
    _build(ROOT, folder, "--target", "sdist", "--target", "wheel")
    (wheel,) = folder.glob("*.whl")
    (sdist,) = folder.glob("*.tar.gz")
    return Built(wheel, sdist)


def _build(source: Path, folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder), *arguments]
    subprocess.run(command, cwd=source, env=_environment(), check=True, capture_output=True)


def _environment() -> dict[str, str]:
    """Without what would show a Python this tree."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def test_the_wheel_has_the_package_and_nothing_else(built: Built) -> None:
    package = {path.relative_to(ROOT).as_posix() for path in (ROOT / "hsmgate").rglob("*") if path.is_file()}
    files = set(zipfile.ZipFile(built.wheel).namelist())
    about = {name for name in files if name.startswith(f"{DIST_INFO}/")}
    assert files - about == {name for name in package if "__pycache__" not in name}
    assert f"{DIST_INFO}/licenses/LICENSE" in about


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no clone")
def test_the_sdist_has_what_the_clone_has(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        files = {name.partition("/")[2] for name in archive.getnames()}
    assert _listed("--cached") <= files
    assert files <= _listed("--cached", "--others") | {"PKG-INFO"}


def _listed(*which: str) -> set[str]:
    """Files that git knows, or would take, and that are there."""
    command = ["git", "ls-files", "-z", "--exclude-standard", *which]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return {name for name in listed.split("\0") if name and (ROOT / name).exists()}


def test_the_sdist_builds_the_same_wheel(built: Built, tmp_path: Path) -> None:
    with tarfile.open(built.sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    _build(source, tmp_path / "dist", "--target", "wheel")
    (wheel,) = (tmp_path / "dist").iterdir()
    assert wheel.read_bytes() == built.wheel.read_bytes()


def test_the_wheel_installs_and_runs(built: Built, demo: Demo, tmp_path: Path) -> None:
    hsmgate_command = _install(built.wheel, tmp_path / "venv")

    def run(*arguments: str) -> str:
        command = [str(hsmgate_command), *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=_environment(), check=True, capture_output=True, text=True
        ).stdout

    assert run("--version") == f"hsmgate {hsmgate.__version__}\n"
    shutil.copytree(demo.folder / "tokens", tmp_path / "demo" / "tokens")
    shutil.copy(demo.folder / "pin", tmp_path / "demo" / "pin")
    assert "a demo is ready" in run("init", "demo")
    assert "was seen to do" in run("check", "--config", "demo/hsmgate.toml")


def test_a_gateway_keeps_to_its_version_when_the_link_leads_to_another(
    built: Built, demo: Demo, tmp_path: Path
) -> None:
    _install(built.wheel, tmp_path / "1")
    current = tmp_path / "current"
    current.symlink_to("1")
    hsmgate_command = str(current / "bin" / "hsmgate")
    command = [hsmgate_command, "serve", "--config", str(demo.config), "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, env=_environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("hsmgate serves on")
        current.unlink()
        current.symlink_to("2")  # nothing could be started from there
        signers = psutil.Process(process.pid).children()
        for signer in signers:
            signer.kill()
        python = _python_of_another(process.pid, signers)
        process.terminate()
    assert python.is_relative_to(tmp_path / "1")


def _python_of_another(gateway: int, signers: list[psutil.Process]) -> Path:
    """What a signer runs on that is none of these; waits for one."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for child in psutil.Process(gateway).children():
            if child not in signers and "hsmgate.signer" in (words := child.cmdline()):
                return Path(words[0])
        time.sleep(0.05)
    raise AssertionError("no signer was started")


def _install(wheel: Path, folder: Path) -> Path:
    """The `hsmgate` of a new environment, which has the wheel itself and what it depends on from this one."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = str(folder / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(pip, env=_environment(), check=True)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    where = [python, "-c", "import hsmgate; print(hsmgate.__file__)"]
    found = subprocess.run(where, cwd=folder, env=_environment(), check=True, capture_output=True, text=True).stdout
    assert Path(found.strip()).is_relative_to(site_packages)
    return folder / "bin" / "hsmgate"
