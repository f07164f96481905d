"""What is logged of an error that nobody expected."""

import subprocess
import sys

import pytest

COMMON = "import asyncio, gc, logging, threading, uvloop\nfrom hsmgate import tracebacks\ntracebacks.configure()\n"
LOOP = """
def fail(*values): raise ValueError(*values)
async def forgotten(): fail("s3cret")
async def main():
    asyncio.get_running_loop().set_exception_handler(tracebacks.on_loop_error)
    asyncio.get_running_loop().call_soon(fail, "s3cret")
    task = asyncio.ensure_future(forgotten())
    await asyncio.sleep(0.01)
    del task
    gc.collect()
uvloop.run(main())
"""


@pytest.mark.parametrize(
    ("code", "times"),
    [
        ("raise ValueError('s' + '3cret')", 1),
        ("try: raise ValueError('s' + '3cret')\nexcept ValueError: logging.exception('it failed')", 1),
        ("def fail(): raise ValueError('s' + '3cret')\nthreading.Thread(target=fail).start()", 1),
        ("class A:\n  def __del__(self): raise ValueError('s' + '3cret')\nA()", 1),
        (LOOP, 2),
    ],
    ids=["not caught", "logged", "in a thread", "while cleaning up", "in an event loop"],
)
def test_a_traceback_says_where_and_not_what(code: str, times: int) -> None:
    done = subprocess.run([sys.executable, "-c", COMMON + code], capture_output=True, text=True, check=False)
    assert "s3cret" not in done.stdout + done.stderr
    assert done.stderr.count("ValueError\n") == times
    assert done.stderr.count('File "<string>", line ') >= times
