"""What the proof at start takes, and what keys that callers bring cost a signer in memory.

python -m benchmarks.signer_figures DIR      DIR: a folder that `hsmgate init` made
"""

import asyncio
import base64
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import psutil
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hsmgate.config import Config
from hsmgate.domain.capabilities import Capabilities
from hsmgate.gateway.pin import read_pin
from hsmgate.gateway.pin_file import PinFile
from hsmgate.gateway.signer_process import SignerProcess
from tests.gateway_process import Gateway, b64, serving
from tests.token_tool import Demo

STARTS = 7
ITEMS = 10_000
BATCH = 1000
KIB = 1024


def main(folder: Path) -> None:
    """Print the figures."""
    asyncio.run(_measure(Demo(folder)))


async def _measure(demo: Demo) -> None:
    config = Config.load(demo.config)
    _, told = await _start(config, None)
    trying, knowing = [], []
    for _ in range(STARTS):  # in turn, so that drift cancels
        trying.append((await _start(config, None))[0])
        knowing.append((await _start(config, told))[0])
    print(f"a signer's start, median of {STARTS}: {statistics.median(trying):.2f} s with the proof, ", end="")
    print(f"{statistics.median(knowing):.2f} s without; longest with it {max(trying):.2f} s")
    async with serving(demo.config, demo.api_key, demo.folder / "figures.log") as gateway:
        await _measure_memory(gateway)


async def _start(config: Config, capabilities: Capabilities | None) -> tuple[float, Capabilities]:
    """Seconds until a signer is ready, and what its token can do."""
    started = time.perf_counter()
    token = config.token[0]
    pin = await read_pin(token.pin_source, config.folder)
    signer = await SignerProcess.start(token, config.folder, pin, PinFile(), capabilities)
    seconds = time.perf_counter() - started
    await signer.stop()
    return seconds, signer.opened.capabilities


async def _measure_memory(gateway: Gateway) -> None:
    blob = await _transient_key(gateway)
    for _ in range(3):  # until the allocators have settled
        await gateway.sign([_inline() for _ in range(BATCH)] + [_item({"transient_key": blob})] * BATCH)
    signers = [psutil.Process(pid) for pid in gateway.signers()]
    for what in ("inline", "transient"):
        before = [signer.memory_info().rss for signer in signers]
        for _ in range(ITEMS // BATCH):
            one = what == "transient"
            await gateway.sign([_item({"transient_key": blob}) if one else _inline() for _ in range(BATCH)])
        grown = [(signer.memory_info().rss - was) // KIB for signer, was in zip(signers, before, strict=True)]
        print(f"{ITEMS} {what} items: the signers grew by {', '.join(map(str, grown))} KiB")


async def _transient_key(gateway: Gateway) -> str:
    wanted = {"transient": True, "obj_type": "EC", "elliptic_curve": "NistP256"}
    headers = {"Authorization": f"Basic {gateway.api_key}"}
    async with gateway.client.post(gateway.url + "/crypto/v1/keys", json=wanted, headers=headers) as response:
        blob: str = (await response.json())["transient_key"]
    assert base64.b64decode(blob)
    return blob


def _inline() -> dict[str, Any]:
    """An item with a new key of its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return _item({"inline": {"value": b64(der), "obj_type": "EC"}})


def _item(key: dict[str, Any]) -> dict[str, Any]:
    return {"key": key, "hash_alg": "SHA256", "data": b64(b"x")}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
