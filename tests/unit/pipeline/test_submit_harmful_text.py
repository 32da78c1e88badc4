import json
from typing import Any

import pytest

from shared.domain.errors import InvalidSubmission
from shared.pipeline.submit import SubmitRequest
from shared.pipeline.submit_batch import submit_batch
from tests.fakes.world import CALLER, World, a_batch, a_body


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\x7f", "\x85", "\u202e", "\u2066"], ids=ascii)
@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"content": {"email": {"subject": "Hi{}", "text": "x"}}}, "/content/email/subject"),
        ({"content": {"email": {"subject": "Hi", "text": "x{}"}}}, "/content/email/text"),
        ({"content": {"email": {"subject": "Hi", "html": "<p>{}</p>"}}}, "/content/email/html"),
        ({"data": {"name": "Ada{}"}}, "/data/name"),
        ({"data": {"items": [{"name": "Ada{}"}]}}, "/data/items/0/name"),
        ({"data": {"items": {"na{}me": 1}}}, "/data/items"),
        ({"metadata": {"source": "shop{}"}}, "/metadata/source"),
        ({"reference": "order{}"}, "/reference"),
        ({"recipient": {"customerId": "c{}", "email": "ada@example.com"}}, "/recipient/customerId"),
        ({"recipient": {"email": "ada{}@example.com"}}, "/recipient/email"),
    ],
)
async def test_harmful_characters_are_refused_in_every_text(
    character: str, changes: dict[str, Any], pointer: str
) -> None:
    world = World()
    body = json.dumps(a_body(**changes)).replace("{}", json.dumps(character)[1:-1])
    raw = json.dumps(json.loads(body), ensure_ascii=False)

    for written in (body, raw):
        with pytest.raises(InvalidSubmission) as refused:
            await world.submit(SubmitRequest(written.encode()))
        assert pointer in {error.pointer for error in refused.value.errors}
    answer = await submit_batch(a_batch([json.loads(body), a_body()]), CALLER, world.services)
    items = json.loads(answer.answer)["items"]
    assert pointer in {error["pointer"] for error in items[0]["problem"]["errors"]}
    assert len(world.notifications) == 1


async def test_lines_tabs_and_other_scripts_may_be_in_bodies_and_data() -> None:
    world = World()
    text = "Gr\xfc\xdfe\r\n\tan \u05d3\u05d5\u05d3\u200f \U0001f468\u200d\U0001f469\u200d\U0001f467"

    await world.submit(content={"email": {"subject": "Hi", "text": text}}, data={"greeting": text})

    assert world.notifications[0].data == {"greeting": text}
