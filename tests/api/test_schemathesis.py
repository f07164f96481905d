"""The gateway called by its own description, right and wrong, by a tool that knows nothing else of it."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from tests.gateway_process import Gateway

ROOT = Path(__file__).parent.parent.parent
CONFIG = Path(__file__).with_name("schemathesis.toml")
CALLS = 2000
EXAMPLES = os.environ.get("HSMGATE_SCHEMATHESIS_EXAMPLES", "25")
"""At most so many calls of each operation, and as many scenarios; 25 make somewhat more than CALLS."""


@pytest.mark.timeout(4 * 3600)  # 50,000 calls take an hour or more, 2,000 some two minutes
@pytest.mark.asyncio(loop_scope="session")
async def test_nothing_to_complain_of(own_gateway: Gateway, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG)),
        *("run", f"{own_gateway.url}/openapi.json", "--max-examples", EXAMPLES, "--no-color"),
        *("--report", "json", "--report-json-path", str(report)),
        cwd=tmp_path,
        env=os.environ
        | {
            "HSMGATE_API_KEY": own_gateway.api_key,
            "HSMGATE_SIGNING_KID": await kid_of(own_gateway, "rsa2048"),
            "HSMGATE_CHANGING_KID": await kid_of(own_gateway, "p256"),
            "SCHEMATHESIS_HOOKS": "tests.api.hooks",
            "PYTHONPATH": str(ROOT),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        printed, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, printed.decode()
    found = json.loads(report.read_text())
    assert found["complete"]
    assert found["failures"] == found["errors"] == []
    assert found["operations"]["tested"] == found["operations"]["total"]
    phases = {name: phase["status"] for name, phase in found["phases"].items()}
    assert phases == {"examples": "success", "coverage": "success", "fuzzing": "success", "stateful": "success"}
    assert found["test_cases"]["generated"] >= CALLS


async def kid_of(gateway: Gateway, name: str) -> str:
    headers = {"Authorization": f"Basic {gateway.api_key}"}
    async with gateway.client.get(f"{gateway.url}/crypto/v1/keys?name={name}", headers=headers) as response:
        (kid,) = [key["kid"] for key in await response.json()]
    return str(kid)
