"""HTTP triggers through a real client: routing, keys, bodies, limits, failures."""

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator

import aiohttp
import pytest

from local_azure.tests.functions_host.part_process import APPS, HostProcess


@pytest.fixture(scope="module")
def host(start_host, tmp_path_factory) -> HostProcess:
    app = tmp_path_factory.mktemp("app") / "http_app"
    shutil.copytree(APPS / "http_app", app)
    settings = {"IsEncrypted": False, "Values": {"FROM_FILE": "file", "FROM_BOTH": "file"}}
    (app / "local.settings.json").write_text(json.dumps(settings))
    return start_host(app, FROM_BOTH="environment")


@pytest.fixture
async def web(host) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(f"{host.url}/v2/") as session:
        yield session


async def test_the_function_sees_the_request_and_the_client_its_response(web, host):
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers = {"traceparent": parent, "X-Test": "yes"}

    async with web.post("echo/B%C3%B6b%2FX/7?q=1&q=2&empty=", data=b"\xe9body", headers=headers) as answer:
        seen = await answer.json()

    assert answer.status == 201
    assert answer.headers["x-made-by"] == "me"
    assert answer.headers["content-type"] == "application/json"
    assert seen["method"] == "POST"
    assert seen["url"] == f"{host.url}/v2/echo/B%C3%B6b%2FX/7?q=1&q=2&empty="
    assert seen["route"] == {"name": "Böb/X", "number": "7"}
    assert seen["query"] == {"q": "1,2", "empty": ""}
    assert seen["headers"] == {"traceparent": parent, "x-test": "yes"}
    assert seen["body"] == "\xe9body"
    assert seen["function"] == "echo"
    assert seen["trace_parent"] == parent


async def test_every_invocation_belongs_to_a_trace(web):
    async with web.get("echo/Bob") as answer:
        parent = (await answer.json())["trace_parent"]

    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", parent)


async def test_optional_and_catch_all_route_parameters(web):
    async with web.get("echo/Bob") as answer:
        assert (await answer.json())["route"] == {"name": "Bob"}
    async with web.get("files/a/b/c.txt") as answer:
        assert await answer.text() == "a/b/c.txt"


async def test_a_constraint_that_fails_and_a_wrong_method_are_not_found(web):
    for method, path in (("GET", "echo/Bob/seven"), ("DELETE", "echo/Bob"), ("GET", "missing"), ("GET", "echo/a/1/b")):
        async with web.request(method, path) as answer:
            assert answer.status == 404, (method, path)


async def test_head_gets_the_headers_of_a_get(web):
    async with web.head("echo/Bob") as answer:
        assert answer.status == 201
        assert int(answer.headers["content-length"]) > 100
        assert await answer.read() == b""


async def test_text_bytes_cookies_and_nothing(web):
    async with web.get("text") as answer:
        assert (answer.status, await answer.text()) == (200, "plain text")
        assert answer.headers["content-type"].startswith("text/plain")
    async with web.get("cookies") as answer:
        assert await answer.read() == b"\x00\xff"
        assert answer.headers.getall("set-cookie") == ["a=1; Path=/", "b=2; HttpOnly"]
    async with web.get("nothing") as answer:
        assert (answer.status, await answer.read()) == (204, b"")


async def test_an_exception_is_a_500_without_detail_and_shows_on_the_admin_port(web, host):
    async with web.get("fail") as answer:
        assert (answer.status, await answer.read()) == (500, b"")

    newest = host.metrics()["failures"][0]
    assert newest["function"] == "fail"
    assert newest["error"] == "ValueError('boom in the app')"
    assert "function_app.py" in newest["trace"]
    assert "about to fail" in host.log()


async def test_keys_open_functions_by_level(web, host):
    keys = host.keys()
    cases = [
        ("keyed", "", 401),
        ("keyed", "wrong", 401),
        ("keyed", keys["functions"]["echo"], 401),
        ("keyed", keys["functions"]["keyed"], 200),
        ("keyed", keys["host"], 200),
        ("masters", keys["host"], 401),
        ("masters", keys["master"], 200),
    ]
    for path, key, status in cases:
        async with web.get(path, headers={"x-functions-key": key}) as answer:
            assert answer.status == status, (path, status)
    async with web.get("keyed", params={"code": keys["host"]}) as answer:
        assert answer.status == 200
    assert (host.data / "keys.json").stat().st_mode & 0o777 == 0o600


async def test_a_body_over_the_limit_is_refused_before_it_is_read(host):
    port = int(host.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /v2/echo/x HTTP/1.1\r\nhost: x\r\ncontent-length: 104857601\r\n\r\n")

    status_line = await asyncio.wait_for(reader.readline(), 5)

    assert b" 413 " in status_line
    writer.close()
    await writer.wait_closed()


async def test_more_than_the_outstanding_requests_are_told_to_come_later(web):
    async def status() -> int:
        async with web.get("slow/0.6") as answer:
            return answer.status

    statuses = await asyncio.gather(*(status() for _ in range(8)))

    assert sorted(statuses) == [200] * 4 + [429] * 4


async def test_a_function_over_its_time_is_cancelled(web, host):
    async with web.get("slow/30") as answer:
        assert answer.status == 500

    assert "functionTimeout of 2 s" in host.metrics()["failures"][0]["error"]


async def test_settings_of_the_file_are_in_the_environment_and_never_override_it(web, host):
    async with web.get("environment") as answer:
        seen = json.loads(await answer.text())

    assert seen["FROM_FILE"] == "file"
    assert seen["FROM_BOTH"] == "environment"
    assert seen["PYTHONPATH"] is None
    assert seen["CNS_HOST_WORKER_LOG_LEVEL"] is None
    assert seen["cwd"].endswith("http_app")
