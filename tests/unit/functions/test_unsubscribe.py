import re
from typing import Any

import pytest

from functions import unsubscribe
from shared.domain.address import EmailAddress
from shared.domain.suppressed_address import mark_of
from shared.domain.unsubscribe_link import UnsubscribeLink, key_of, token_of
from tests.fakes.world import TENANT, World

SECRET = b"bucket secret"


@pytest.fixture
def token() -> str:
    mark = mark_of(SECRET, TENANT, "email", EmailAddress("ada@example.com"), "marketing")
    assert mark is not None
    return token_of(UnsubscribeLink(TENANT, "email", "marketing", mark), key_of(SECRET))


@pytest.mark.parametrize(
    ("asked", "language"),
    [
        ("", "en"),
        ("de-AT,de;q=0.9", "de"),
        ("fr", "fr"),
        ("es-MX;q=0.8, ja", "es"),
        ("xx;q=nonsense", "en"),
        ("*", "en"),
    ],
)
async def test_the_page_has_one_button_no_script_and_the_readers_language(
    world: World, call: Any, token: str, asked: str, language: str
):
    answer = await call(
        unsubscribe.show_unsubscribe_page, token=None, route={"token": token}, headers={"accept-language": asked}
    )
    page = answer.get_body().decode()

    assert answer.status_code == 200
    assert answer.mimetype == "text/html"
    assert f'<html lang="{language}">' in page
    assert page.count("<button") == 1
    assert "<script" not in page
    assert "<title>" in page
    assert "<main>" in page
    assert "form-action 'self'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert world.preferences.suppressions == {}


async def test_one_click_unsubscribes_and_the_pages_button_takes_it_back(world: World, call: Any, token: str):
    follow, route = unsubscribe.follow_unsubscribe_link, {"token": token}
    done = await call(follow, b"List-Unsubscribe=One-Click", token=None, route=route)
    kept = [members for members in world.preferences.suppressions.values() if members]
    button = re.search(rb'name="(\w+)" value="(\w+)"', done.get_body())
    assert button
    await call(follow, b"=".join(button.groups()), token=None, route=route)

    assert done.status_code == 200
    assert len(kept) == 1
    assert not any(world.preferences.suppressions.values())


async def test_a_forged_link_leads_nowhere(world: World, call: Any, token: str):
    for builder in (unsubscribe.show_unsubscribe_page, unsubscribe.follow_unsubscribe_link):
        answer = await call(builder, token=None, route={"token": token.replace("1.", "1.x", 1)})

        assert answer.status_code == 404
    assert world.preferences.suppressions == {}
