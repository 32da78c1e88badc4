"""A few seconds of random requests in the suite; ``fuzz_host.py`` runs longer by hand."""

import os

from local_azure.tests.functions_host.fuzz_host import complaints, fuzz

SECONDS = float(os.environ.get("FUZZ_SECONDS", "3"))
MOST_MEGABYTES = 15.0


async def test_random_requests_neither_crash_nor_block_nor_fill_the_host(start_host):
    host = start_host("durable_app")

    findings, grown = await fuzz(host, SECONDS, seed=20)

    assert not findings.wrong
    assert not complaints(host)
    assert findings.statuses.total() > 50
    assert grown < MOST_MEGABYTES
    assert host.metrics()["worker_restarts"] == 0
    assert host.stop() == 0
