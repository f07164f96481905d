"""One gateway over several tokens: each does what it can, and clones are one key."""

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.tokens import make_nss
from tests.e2e.test_brought_keys import KNOWN_ANSWERS
from tests.gateway_process import b64, serving
from tests.token_tool import Demo
from tests.verify import verify

pytestmark = pytest.mark.asyncio(loop_scope="session")


def sections(config: Path) -> tuple[str, str]:
    """A config's `[[token]]`, and the `[[app]]` after it."""
    token, app = config.read_text().split("[[token]]")[1].split("[[app]]")
    return f"[[token]]{token}", f"[[app]]{app}"


def clone_of(demo: Demo, folder: Path) -> str:
    """The `[[token]]` of a copy of the demo's token."""
    shutil.copytree(demo.folder, folder)
    conf = folder / "softhsm2.conf"
    conf.write_text(conf.read_text().replace(str(demo.folder), str(folder)))
    return sections(demo.config)[0].replace('"demo"', '"clone"').replace('"softhsm2.conf"', json.dumps(str(conf)))


async def test_a_clone_and_a_stranger_serve_as_one(own_demo: Demo, tmp_path: Path) -> None:
    nss = make_nss(tmp_path / "nss", {"ML-DSA-65": "mldsa65", "P-256": "p256"})
    token, app = sections(own_demo.config)
    config = own_demo.folder / "several.toml"
    config.write_text(token + sections(nss.config)[0] + clone_of(own_demo, tmp_path / "clone") + app)
    rsa = {"key": {"name": "rsa2048"}, "hash_alg": "SHA256", "data": b64(b"x")}
    key = next(key for label, _, key in own_demo.public_keys() if label == "rsa2048")
    async with serving(config, own_demo.api_key, tmp_path / "log") as gateway:
        for answer in KNOWN_ANSWERS:
            asked = answer | {"key": {"inline": {"value": answer["key"], "obj_type": answer["obj_type"]}}}
            signed = await gateway.sign_one({m: asked[m] for m in asked if m != "signature"})
            assert signed == {"status": 200, "body": {"signature": answer["signature"]}}, answer["source"]
        statuses = [(await gateway.sign_one(rsa | {"key": {"name": name}}))["status"] for name in ("mldsa65", "p256")]
        assert statuses == [200, 409], "both tokens have a p256, and they are two keys"
        for _ in range(2):
            signed_batch: list[dict[str, Any]] = await gateway.sign([rsa] * 500)
            for one in signed_batch:
                verify(key, rsa, base64.b64decode(one["body"]["signature"]))
            gateway.kill_signers(2)
