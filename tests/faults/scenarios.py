"""All faults, in the order of the page."""

from tests.faults import by_client, by_kill, by_load, by_module, by_return_value, by_world
from tests.faults.fault import Fault

FAULTS: dict[str, Fault] = {
    fault.name: fault
    for part in (by_kill, by_module, by_return_value, by_world, by_client, by_load)
    for fault in part.FAULTS
}

ESSENTIAL = (
    "all signers killed",
    "abort",
    "exit(5)",
    "a call hangs",
    "logged out",
    "sessions closed",
    "signature bits flipped",
    "broken until C_Finalize",
    "handles renumbered",
    "poison items",
    "token's files moved away",
    "second token lost",
    "shutdown under load",
)
"""Those that every run of the tests goes through."""
