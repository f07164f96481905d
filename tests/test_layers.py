"""Who may import whom."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import hsmgate

PACKAGE = Path(hsmgate.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

# A part of the package, and the parts that it may import; `__init__` stands for the package's __version__.
MAY_IMPORT = {
    "__init__": set[str](),
    "__main__": {"cli"},
    "errors": set[str](),
    "secret": set[str](),
    "confinement": set[str](),
    "tracebacks": set[str](),
    "domain": {"errors", "domain"},
    "ipc": {"errors", "domain", "ipc"},
    "config": {"errors", "domain", "config"},
    "apps": {"errors", "domain", "config"},
    "signer": {"errors", "confinement", "tracebacks", "domain", "ipc", "signer", "__init__"},
    "gateway": {"errors", "secret", "tracebacks", "domain", "ipc", "config", "gateway", "__init__"},
    "provision": {"errors", "domain", "signer", "provision"},
    "client": {"errors", "secret", "domain", "client"},
    "bench": {"errors", "domain", "ipc", "config", "gateway", "bench"},
    "cli": {
        "errors",
        "confinement",
        "tracebacks",
        "domain",
        "ipc",
        "config",
        "apps",
        "signer",
        "gateway",
        "provision",
        "client",
        "bench",
        "secret",
        "cli",
        "__init__",
    },
}


def part(module: str) -> str:
    """The part of the package that a module of ours belongs to, by its full name."""
    name = module.removeprefix("hsmgate").lstrip(".").partition(".")[0]
    return name if name in MAY_IMPORT else "__init__"


def imports(file: Path) -> Iterator[str]:
    """The full names of what a module imports, at whatever depth of its code."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def path_of(file: Path) -> str:
    return file.relative_to(PACKAGE).as_posix()


def test_every_module_belongs_to_a_part_of_the_table() -> None:
    assert {path_of(file).removesuffix(".py").partition("/")[0] for file in MODULES} == set(MAY_IMPORT)


@pytest.mark.parametrize("file", MODULES, ids=path_of)
def test_a_part_imports_only_what_it_may(file: Path) -> None:
    mine = path_of(file).removesuffix(".py").partition("/")[0]
    ours = {part(name) for name in imports(file) if name.partition(".")[0] == "hsmgate"}
    assert ours <= MAY_IMPORT[mine]


def test_pkcs11_is_imported_in_one_module_only() -> None:
    importing = [path_of(file) for file in MODULES if any(name.partition(".")[0] == "pkcs11" for name in imports(file))]
    assert importing == ["signer/cryptoki.py"]


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("hsmgate.gateway.server", {"pkcs11", "hsmgate.signer", "hsmgate.provision", "aiohttp"}),
        ("hsmgate.gateway.listener", {"pkcs11", "hsmgate.signer", "hsmgate.provision"}),
        ("hsmgate.signer.__main__", {"asyncio", "aiohttp", "pydantic", "hsmgate.config", "hsmgate.gateway"}),
    ],
)
def test_a_process_does_not_load_what_is_not_its_own(module: str, forbidden: set[str]) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert module in loaded
    assert forbidden.isdisjoint(loaded)
