"""What is no operation is refused like everything else: with a problem document."""

import json

import pytest

from functions import unknown_route
from shared.contracts.problem import CONTENT_TYPE


@pytest.mark.parametrize("path", ["", "v1", "v1/nothing", "v1/notifications/a/b", "v2/notifications"])
async def test_an_unknown_path_is_not_found(call, path: str):
    answer = await call(unknown_route.unknown_route, route={"path": path})

    assert answer.status_code == 404
    assert answer.mimetype == CONTENT_TYPE
    assert json.loads(answer.get_body())["type"].endswith("/not-found")


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("v1/notifications/batch", "POST"),
        ("openapi.json", "GET"),
    ],
)
async def test_another_method_of_a_known_path_is_told_which_there_are(call, path: str, methods: str):
    answer = await call(unknown_route.unknown_route, route={"path": path})

    assert answer.status_code == 405
    assert set(methods.split(", ")) <= set(answer.headers["Allow"].split(", "))
