"""A batch with a witness: signed, recorded, and only then answered."""

import asyncio
from collections.abc import Sequence

from hsmgate.errors import BadItem, NoSigner
from hsmgate.gateway.audit.entries import Caller, batch_record
from hsmgate.gateway.audit.log import AuditLog
from hsmgate.gateway.batch import GONE, Batch, Result, failure
from hsmgate.gateway.signing import BatchSigner
from hsmgate.gateway.wire import SignItem
from hsmgate.ipc.messages import Failure

INTERNAL_ERROR = 500
"""The status of an item whose call failed before there was a result. It may have been signed; nobody has it."""


async def run_recorded(
    log: AuditLog,
    signer: BatchSigner,
    batch: Batch,
    items: Sequence[SignItem | BadItem],
    caller: Caller,
    *,
    verify: bool,
) -> Sequence[Result]:
    """The result of every item, as `BatchSigner.run`; where the log must be written and cannot, a 503 for each.

    Whatever else is raised, what was signed until then is on record.
    """
    refusal = log.refusal()
    if refusal is not None:
        return [failure(refusal)] * len(items)
    try:
        results = await signer.run(batch, items, caller.app)
    except BaseException as error:
        missing = GONE if isinstance(error, asyncio.CancelledError) else INTERNAL_ERROR
        so_far = [Failure(missing, "") if result is None else result for result in batch.so_far()]
        log.chain.append(batch_record(caller, items, batch, so_far, verify=verify))
        raise
    if await log.record(batch_record(caller, items, batch, results, verify=verify)):
        return results
    withheld = failure(NoSigner("the audit log could not be written, so the result is withheld; try again"))
    return [result if isinstance(result, Failure) else withheld for result in results]
