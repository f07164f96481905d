"""Take the pictures of docs/img: a gateway under a load that comes and goes, of which a signer is killed halfway.

python -m tests.web.screenshots [--seconds N]
"""

import argparse
import asyncio
import math
import random
import subprocess
import tempfile
import time
from pathlib import Path

from tests.gateway_process import HSMGATE, Gateway, serving
from tests.token_tool import Demo
from tests.web.browser import Browser, browsing

IMAGES = Path(__file__).parents[2] / "docs" / "img"
SWING_SECONDS = 150
CLIENTS = 4
KEYS = ("p256", "p384", "rsa2048", "none")
WEIGHTS = (80, 10, 9.9, 0.1)


async def main(seconds: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        demo = Demo(Path(folder) / "demo")
        subprocess.run([*HSMGATE, "init", str(demo.folder)], check=True, stdout=subprocess.DEVNULL)  # noqa: ASYNC221
        async with serving(demo.config, demo.api_key, Path(folder) / "log") as gateway:
            clients = [asyncio.create_task(client(gateway)) for _ in range(CLIENTS)]
            await asyncio.sleep(seconds / 2)
            gateway.kill_signers(1)
            await asyncio.sleep(seconds / 2)
            await asyncio.to_thread(take, gateway)
            for task in clients:
                task.cancel()


async def client(gateway: Gateway) -> None:
    """Signs small batches, now more of them, now fewer."""
    while True:
        names = random.choices(KEYS, WEIGHTS, k=random.choice((1, 2, 5, 10)))
        await gateway.sign([{"key": {"name": name}, "hash_alg": "SHA256", "data": "aGVsbG8="} for name in names])
        swing = 1.1 + math.sin(time.monotonic() * 2 * math.pi / SWING_SECONDS)
        await asyncio.sleep(random.expovariate(20 * swing))


def take(gateway: Gateway) -> None:
    with browsing() as browser:
        browser.open(f"{gateway.url}/status")
        browser.wait(lambda: browser.all("#errors tr") or None, "errors")
        browser.picture(IMAGES / "status.png", 1100, 880)
        browser.open(f"{gateway.url}/docs#sign")
        browser.find("#credential").send_keys(gateway.api_key)
        answered(browser)
        browser.run("document.getElementById('sign').scrollIntoView()")
        browser.picture(IMAGES / "docs.png", 1100, 800)


def answered(browser: Browser) -> None:
    browser.find("#sign form button").click()
    browser.find("#sign .answer strong.good")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=900, help="how long to sign before (900)")
    asyncio.run(main(parser.parse_args().seconds))
