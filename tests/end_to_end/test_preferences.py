"""What customers want, through the whole service: written over the API, obeyed at accept and before sending."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from tests.end_to_end.conftest import DATA, Client

MAIL = "ada@example.com"


def _order(customer: str, category: str, **fields: object) -> dict[str, object]:
    return {
        "recipient": {"customerId": customer},
        "channels": ["email"],
        "template": {"id": "order-confirmation"},
        "data": DATA,
        "category": category,
        **fields,
    }


async def _write(client: Client, customer: str, profile: dict[str, object]) -> None:
    answer = await client.call("PUT", f"/preferences/{customer}", json=profile)
    assert answer.status == 201, answer


async def test_a_profile_is_written_read_and_changed(client: Client) -> None:
    customer = f"c-{uuid4().hex}"
    await _write(client, customer, {"addresses": {"email": MAIL}, "timeZone": "Europe/Berlin"})
    read = await client.call("GET", f"/preferences/{customer}")
    stale = await client.call("PATCH", f"/preferences/{customer}", json={}, headers={"If-Match": '"stale"'})
    changed = await client.call(
        "PATCH", f"/preferences/{customer}", json={"locale": "de"}, headers={"If-Match": read.headers["ETag"]}
    )

    assert read.json["addresses"] == {"email": MAIL}
    assert stale.status == 412
    assert (changed.status, changed.json["locale"], changed.json["timeZone"]) == (200, "de", "Europe/Berlin")
    assert (await client.call("GET", "/preferences/nobody")).status == 404


async def test_the_profile_gives_the_address_and_the_language(client: Client) -> None:
    customer = f"c-{uuid4().hex}"
    await _write(client, customer, {"addresses": {"email": MAIL}, "locale": "de"})
    view = await client.view_when(await client.accepted(_order(customer, "transactional")), "sent", "delivered")

    assert view["template"]["locale"] == "de"


async def test_who_opted_out_gets_nothing_but_what_is_mandatory(client: Client) -> None:
    customer = f"c-{uuid4().hex}"
    await _write(client, customer, {"addresses": {"email": MAIL}, "consents": {"marketing": {"*": {"granted": False}}}})
    advert = await client.accepted(_order(customer, "marketing"))
    alert = await client.accepted(_order(customer, "security"))
    await client.view_when(alert, "sent", "delivered")
    view = await client.view(advert)

    assert (view["status"], view["deliveries"][0]["reason"]) == ("suppressed", "opted_out")
    assert await client.provider_calls(advert) == []


async def test_an_opt_out_stops_what_was_accepted_before_it(client: Client) -> None:
    customer = f"c-{uuid4().hex}"
    await _write(client, customer, {"addresses": {"email": MAIL}})
    soon = (datetime.now(UTC) + timedelta(seconds=6)).isoformat()
    advert = await client.accepted(_order(customer, "marketing", sendAt=soon))
    opted_out = await client.call(
        "PATCH", f"/preferences/{customer}", json={"consents": {"marketing": {"email": {"granted": False}}}}
    )
    view = await client.view_when(advert, "suppressed", "sent", "delivered")

    assert opted_out.status == 200
    assert view["status"] == "suppressed"
    assert await client.provider_calls(advert) == []


async def test_quiet_hours_put_a_delivery_off(client: Client) -> None:
    customer = f"c-{uuid4().hex}"
    now = datetime.now(UTC)
    quiet = {"start": f"{now - timedelta(hours=1):%H:%M}", "end": f"{now + timedelta(hours=2):%H:%M}"}
    await _write(client, customer, {"addresses": {"email": MAIL}, "timeZone": "UTC", "quietHours": quiet})
    view = await client.view(await client.accepted(_order(customer, "transactional")))

    assert view["deliveries"][0]["status"] == "scheduled"
    assert view["deliveries"][0]["dueAt"][11:16] == quiet["end"]
