"""The HTTP side: pipelined, chunked, oversized and malformed requests; what runs beside a long query."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import pytest
from azure.cosmos import PartitionKey, exceptions
from azure.cosmos.aio import CosmosClient


async def talk(emulator, *chunks):
    """What the server sends back to raw bytes before it closes or falls silent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", emulator.port)
    for chunk in chunks:
        writer.write(chunk)
        await writer.drain()
    received = b""
    try:
        while data := await asyncio.wait_for(reader.read(65536), 0.5):
            received += data
    except TimeoutError:
        pass
    finally:
        writer.close()
        await writer.wait_closed()
    return received


async def test_pipelined_requests_are_answered_in_order(emulator):
    answers = await talk(
        emulator, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2 + b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n"
    )

    assert [part[:3] for part in answers.split(b"HTTP/1.1 ")[1:]] == [b"200", b"200", b"401"]


async def test_a_chunked_body(emulator):
    body = b'[{"status": 418, "path": "/nothing-has-this-path"}]'
    head = (
        b"POST /_emulator/faults HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )

    answer = await talk(
        emulator, head, b"%x\r\n%b\r\n" % (10, body[:10]), b"%x\r\n%b\r\n0\r\n\r\n" % (len(body) - 10, body[10:])
    )

    assert answer.startswith(b"HTTP/1.1 200")
    assert b'"fired":0' in answer
    async with aiohttp.ClientSession() as http:
        assert (await http.delete(f"{emulator.url}/_emulator/faults")).status == 200


async def test_an_oversized_body_and_garbage_are_refused(emulator):
    size = 9 * 1024 * 1024
    head = b"POST /dbs HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % size

    assert (await talk(emulator, head, b"x" * size)).startswith(b"HTTP/1.1 413")
    assert (await talk(emulator, b"\x16\x03\x01 not http\r\n\r\n")).startswith(b"HTTP/1.1 400")


async def test_an_unknown_resource_is_not_found(container):
    with pytest.raises(exceptions.CosmosResourceNotFoundError, match="not supported by the emulator"):
        await container.scripts.get_stored_procedure("p")


async def test_other_requests_are_answered_while_a_long_query_runs(start_emulator, account_key, tmp_path):
    running = start_emulator(tmp_path)
    try:
        async with CosmosClient(running.url, account_key) as client:
            database = await client.create_database("d")
            container = await database.create_container("c", PartitionKey("/pk"))
            for batch in range(60):
                items = [("create", ({"id": f"{n}", "pk": f"{batch}", "n": n, "text": "x" * 300},)) for n in range(100)]
                await container.execute_item_batch(items, f"{batch}", no_response=True)

            query = container.query_items(
                "SELECT VALUE COUNT(1) FROM c WHERE CONTAINS(UPPER(c.text), 'Y') OR c.n % 2 = 0"
            )
            counting = asyncio.create_task(anext(query.__aiter__()))
            waits = []
            while not counting.done():
                started = time.monotonic()
                await container.read_item("5", "3")
                waits.append(time.monotonic() - started)
    finally:
        running.stop()

    assert await counting == 3000
    assert len(waits) >= 2
    assert sorted(waits)[len(waits) // 2] < 0.1


async def test_paging_an_ordered_query_across_ranges_goes_wrong_in_the_client(container):
    """Pins a hazard of the SDK: the page token of a cross-partition ORDER BY belongs to the last range only."""
    for number in range(40):
        await container.create_item({"id": str(number), "pk": str(number), "n": number})
    query = "SELECT VALUE c.n FROM c ORDER BY c.n"
    pages = container.query_items(query, max_item_count=5).by_page()
    first = [n async for n in await anext(pages)]

    resumed = container.query_items(query, max_item_count=5).by_page(pages.continuation_token)
    rest = [n async for page in resumed async for n in page]

    assert first == [0, 1, 2, 3, 4]
    assert rest != list(range(5, 40))


def test_a_second_emulator_on_the_same_folder_is_refused(start_emulator, tmp_path):
    running = start_emulator(tmp_path)
    command = [sys.executable, "-m", "local_azure.cosmos", "--port", "0", "--data", str(tmp_path)]
    try:
        root = Path(__file__).parents[3]
        ended = subprocess.run(  # noqa: S603 - our own command line
            command, check=False, capture_output=True, text=True, timeout=20, cwd=root
        )
    finally:
        assert running.stop() == 0

    assert ended.returncode == 2
    assert "in use by another emulator" in ended.stderr
