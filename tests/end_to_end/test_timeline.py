"""Finding notifications through the whole service."""

from uuid import uuid4

from tests.end_to_end.conftest import DATA, Client, email, eventually


async def test_a_customers_notifications_are_found_newest_first(client: Client) -> None:
    customer = f"c-{uuid4().hex}"
    ids = [
        await client.accepted(email(recipient={"customerId": customer, "email": "ada@example.com"}, reference=f"r-{n}"))
        for n in range(3)
    ]
    await client.view_when(ids[0], "delivered")

    async def listed() -> list[str] | None:
        page = await client.call("GET", f"/notifications?customerId={customer}&limit=2")
        found = [each["trackingId"] for each in page.json["notifications"]]
        while cursor := page.json.get("next"):
            page = await client.call("GET", f"/notifications?customerId={customer}&limit=2&cursor={cursor}")
            found += [each["trackingId"] for each in page.json["notifications"]]
        return found if len(found) == len(ids) else None

    assert await eventually(listed, 10, "all are listed") == ids[::-1]


async def test_a_batch_is_found_by_its_reference(client: Client) -> None:
    reference = uuid4().hex
    template = {"template": {"id": "order-confirmation"}, "data": DATA, "channels": ["email"]}
    items = [{"recipient": {"email": f"p{n}@example.com"}, "reference": reference, **template} for n in range(150)]
    answer = await client.call("POST", "/notifications/batch", json={"notifications": items})
    assert answer.status == 202

    async def listed() -> bool:
        page = await client.call("GET", f"/notifications?reference={reference}&template=order-confirmation&limit=100")
        more = await client.call(
            "GET",
            f"/notifications?reference={reference}&template=order-confirmation&limit=100&cursor={page.json.get('next')}",
        )
        return len(page.json["notifications"]) == 100 and len(more.json.get("notifications", [])) == 50

    await eventually(listed, 10, "the batch is listed")
