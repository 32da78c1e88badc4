import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.channels import CHANNELS
from shared.contracts.http_api import MAX_DATA_BYTES, SubmitNotification
from shared.domain.errors import InvalidSubmission
from shared.domain.fallback import LOOK_AGAIN
from shared.domain.identifiers import new_tracking_id, partition_key
from shared.domain.notification import Category, Fallback, Lane, Notification, TemplateRef
from shared.domain.preferences import Preferences
from shared.domain.status import DeliveryStatus
from shared.pipeline.accept import plan_notification, resolve_template
from tests.fakes.channels_in_turn import in_turn
from tests.fakes.clock import START
from tests.fakes.world import CALLER, TENANT, World, a_body

S = DeliveryStatus
ORDER = {"template": {"id": "order-confirmation"}, "content": None}


async def _plan(world: World | None = None, customer: Preferences | None = None, **changes: Any) -> Notification:
    world = world or World()
    request = SubmitNotification.model_validate_json(json.dumps(a_body(**changes)))
    template = await resolve_template(request, CALLER, world.services)
    return plan_notification(
        request,
        template,
        caller=CALLER,
        tracking_id=new_tracking_id(world.clock.now(), 1),
        partition=partition_key(TENANT, 1),
        now=world.clock.now(),
        services=world.services,
        customer=customer,
    )


async def _order_data() -> dict[str, Any]:
    found = await World().services.templates.find(TENANT, "order-confirmation", None)
    assert found is not None
    return dict.fromkeys(found.required, "x")


async def _pointers(**changes: Any) -> list[str]:
    with pytest.raises(InvalidSubmission) as refused:
        await _plan(**changes)
    assert refused.value.status == 422
    return [error.pointer for error in refused.value.errors]


async def test_an_accepted_notification_is_queued_and_due_for_the_sweeper_if_nothing_happens() -> None:
    world = World()

    delivery = (await _plan(world)).deliveries["email"]

    assert (delivery.status, delivery.attempt) == (DeliveryStatus.QUEUED, 0)
    assert delivery.wake_at == START + world.services.patience.publish


async def test_what_is_sent_later_is_scheduled_and_woken_after_its_time() -> None:
    world = World()

    notification = await _plan(world, sendAt="2026-11-25T12:00:00+02:00")

    delivery = notification.deliveries["email"]
    assert delivery.status is DeliveryStatus.SCHEDULED
    assert notification.send_at == START + timedelta(hours=22)
    assert delivery.wake_at == START + timedelta(hours=22) + world.services.patience.publish


async def test_a_time_that_has_passed_means_now() -> None:
    notification = await _plan(sendAt="2026-11-24T11:59:59Z")

    assert notification.send_at is None
    assert notification.deliveries["email"].status is DeliveryStatus.QUEUED


async def test_each_channel_asked_for_becomes_a_delivery() -> None:
    recipient = {
        "email": "ada@example.com",
        "phone": "+4915112345678",
        "deviceTokens": [{"platform": "fcm", "token": "t"}],
        "webhookUrl": "https://ada.example/hook",
        "slackWebhookUrl": "https://hooks.slack.com/services/T0/B0/x",
    }
    notification = await _plan(recipient=recipient, channels=list(CHANNELS), data=await _order_data(), **ORDER)

    assert set(notification.deliveries) == set(CHANNELS)


@pytest.mark.parametrize(
    ("asked", "pinned"), [("de", "de"), ("de-AT", "de"), ("de-AT-1996", "de"), ("fr", "en"), (None, "en")]
)
async def test_the_template_is_pinned_with_the_nearest_locale_it_has(asked: str | None, pinned: str) -> None:
    template = {"id": "order-confirmation"} | ({"locale": asked} if asked else {})

    notification = await _plan(template=template, content=None, data=await _order_data())

    assert notification.template == TemplateRef("order-confirmation", "1.1.0", pinned)


async def test_the_category_is_the_requests_or_the_templates_or_transactional() -> None:
    assert (await _plan()).category is Category.TRANSACTIONAL
    assert (await _plan(category="marketing")).category is Category.MARKETING
    reset = await World().services.templates.find(TENANT, "password-reset", None)
    assert reset is not None
    planned = await _plan(template={"id": "password-reset"}, content=None, data=dict.fromkeys(reset.required, "x"))
    assert planned.category is Category(reset.category)


async def test_the_lane_is_the_priority() -> None:
    assert (await _plan(priority="high")).lane is Lane.HIGH
    assert (await _plan()).lane is Lane.NORMAL


@pytest.mark.parametrize(
    ("changes", "pointers"),
    [
        ({"recipient": {}}, ["/recipient/email"]),
        ({"recipient": {"email": "no-at"}}, ["/recipient/email"]),
        ({"recipient": {"email": "a@b"}}, ["/recipient/email"]),
        ({"recipient": {"email": "a@b.de\nBcc: x@y.de"}}, ["/recipient/email"]),
        ({"recipient": {"email": '"a b"@b.de'}}, ["/recipient/email"]),
        ({"recipient": {"email": "a" * 65 + "@b.de"}}, ["/recipient/email"]),
        ({"channels": ["sms"], "content": {"sms": {"text": "x"}}}, ["/recipient/phone"]),
        ({"channels": ["sms"], "recipient": {"phone": "015112345678"}}, ["/recipient/phone"]),
        ({"channels": ["sms"], "recipient": {"phone": "+0151"}}, ["/recipient/phone"]),
        ({"channels": ["sms"], "recipient": {"phone": "+4915112345678"}}, ["/content/sms"]),
        ({"channels": ["push"]}, ["/recipient/deviceTokens"]),
        (
            {"channels": ["push"], "recipient": {"deviceTokens": [{"platform": "fcm", "token": "a b"}]}},
            ["/recipient/deviceTokens/0/token"],
        ),
        ({"channels": ["webhook"]}, ["/recipient/webhookUrl"]),
        ({"channels": ["webhook"], "recipient": {"webhookUrl": "http://a.example"}}, ["/recipient/webhookUrl"]),
        ({"channels": ["webhook"], "recipient": {"webhookUrl": "https://ä.example"}}, ["/recipient/webhookUrl"]),
        ({"channels": ["email", "email"]}, ["/channels/1"]),
        ({"channels": ["email", "sms", "push"]}, ["/recipient/phone", "/recipient/deviceTokens"]),
        ({"template": {"id": "no-such"}, "content": None}, ["/template/id"]),
        ({"template": {"id": "welcome-new-user", "version": "9.9.9"}, "content": None}, ["/template/version"]),
        ({"sendAt": "2027-11-25T12:00:00Z"}, ["/sendAt"]),
        ({"expiresAt": "2026-11-24T12:00:00Z"}, ["/expiresAt"]),
        ({"sendAt": "2026-11-25T12:00:00Z", "expiresAt": "2026-11-25T11:00:00Z"}, ["/expiresAt"]),
        ({"data": {"x": "y" * MAX_DATA_BYTES}}, ["/data"]),
    ],
)
async def test_what_can_not_be_sent_is_refused_where_it_is_wrong(changes: dict[str, Any], pointers: list[str]) -> None:
    assert await _pointers(**changes) == pointers


async def test_every_missing_variable_of_a_template_is_named() -> None:
    required = list(await _order_data())

    assert await _pointers(**ORDER) == [f"/data/{name}" for name in required]


async def test_a_channel_without_a_provider_is_not_enabled() -> None:
    world = World()
    del world.providers["email"]
    world.services = world.fresh_process()

    with pytest.raises(InvalidSubmission) as refused:
        await _plan(world)

    assert [error.pointer for error in refused.value.errors] == ["/channels/0"]


async def test_a_locale_that_lacks_a_part_does_not_serve_its_channel() -> None:
    world = World()
    found = await world.services.templates.find(TENANT, "order-confirmation", None)
    assert found is not None

    class NoGermanSms:
        async def find(self, *_: object) -> Any:
            german = {name: text for name, text in found.parts["de"].items() if name != "sms.txt"}
            return replace(found, parts=dict(found.parts) | {"de": german})

    world.with_(templates=NoGermanSms())
    sms = {"channels": ["sms"], "recipient": {"phone": "+4915112345678"}, "data": await _order_data(), "content": None}

    await _plan(world, template={"id": "order-confirmation", "locale": "en"}, **sms)
    with pytest.raises(InvalidSubmission) as refused:
        await _plan(world, template={"id": "order-confirmation", "locale": "de"}, **sms)

    assert [error.pointer for error in refused.value.errors] == ["/channels/0"]


async def test_a_template_without_a_part_for_a_channel_does_not_serve_it() -> None:
    world = World()
    found = await world.services.templates.find(TENANT, "order-confirmation", None)
    assert found is not None

    class EmailOnly:
        async def find(self, *_: object) -> Any:
            parts = {
                locale: {name: text for name, text in texts.items() if name.startswith("email")}
                for locale, texts in found.parts.items()
            }
            return type(found)(**{name: getattr(found, name) for name in found.__slots__} | {"parts": parts})

    world.with_(templates=EmailOnly())

    with pytest.raises(InvalidSubmission) as refused:
        await _plan(
            world,
            channels=["email", "sms"],
            recipient={"email": "a@b.de", "phone": "+4915112345678"},
            data=await _order_data(),
            **ORDER,
        )

    assert [error.pointer for error in refused.value.errors] == ["/channels/1"]


async def test_channels_in_turn_the_first_is_queued_and_the_others_stand_by() -> None:
    notification = await _plan(**in_turn("push", "sms", "email", deadline=60))

    assert notification.fallback == Fallback(("push", "sms", "email"), timedelta(seconds=60))
    assert [each.status for each in notification.deliveries.values()] == [S.QUEUED, S.STANDBY, S.STANDBY]
    assert [each.deadline_at for each in notification.deliveries.values()] == [
        None,
        START + timedelta(seconds=60),
        None,
    ]


async def test_what_stands_by_is_looked_at_when_its_turn_may_come() -> None:
    with_deadline = await _plan(**in_turn("push", "sms", "email", deadline=60))
    without = await _plan(**in_turn("push", "sms", "email"))

    assert [each.wake_at - START for each in with_deadline.deliveries.values() if each.wake_at] == [
        timedelta(seconds=60), timedelta(seconds=60), timedelta(seconds=120),
    ]  # fmt: skip
    assert [each.wake_at - START for each in without.deliveries.values() if each.wake_at] == [
        timedelta(seconds=60), LOOK_AGAIN, 2 * LOOK_AGAIN,
    ]  # fmt: skip


async def test_a_deadline_counts_from_the_time_it_is_to_be_sent() -> None:
    notification = await _plan(**in_turn("push", "sms", deadline=60, sendAt="2026-11-24T13:00:00Z"))

    assert notification.deliveries["push"].status is S.SCHEDULED
    assert notification.deliveries["sms"].status is S.STANDBY
    assert notification.deliveries["sms"].deadline_at == START + timedelta(hours=1, seconds=60)


async def test_what_is_wrong_with_a_channel_in_turn_is_named_where_it_stands() -> None:
    recipient = {"deviceTokens": [{"platform": "fcm", "token": "t"}]}

    assert await _pointers(**in_turn("push", "sms", "push")) == ["/routing/order/2"]
    assert await _pointers(**in_turn("push", "sms", recipient=recipient)) == ["/recipient/phone"]
    assert await _pointers(**in_turn("push", "sms", content={"push": {"title": "t", "body": "b"}})) == ["/content/sms"]


async def test_a_channel_in_turn_that_is_not_enabled_is_refused() -> None:
    world = World()
    world.with_(providers={"push": world.services.providers["push"]})

    with pytest.raises(InvalidSubmission) as refused:
        await _plan(world, **in_turn("push", "sms"))

    assert [error.pointer for error in refused.value.errors] == ["/routing/order/1"]


LEFT_TO_THEM = in_turn("push", "sms") | {"routing": {"strategy": "fallback", "deadlineSeconds": 60}}


async def test_an_order_that_is_left_to_the_customer_is_the_customers() -> None:
    notification = await _plan(customer=Preferences(fallback_order=("sms", "push")), **LEFT_TO_THEM)

    assert notification.fallback == Fallback(("sms", "push"), timedelta(seconds=60))
    assert [each.status for each in notification.deliveries.values()] == [S.QUEUED, S.STANDBY]


async def test_of_a_customers_order_what_this_notification_cant_go_out_on_is_left_out() -> None:
    """The content has no part for webhooks, and the recipient no phone."""
    order = ("webhook", "sms", "push")
    recipient = {"deviceTokens": [{"platform": "fcm", "token": "t"}], "webhookUrl": "https://customer.example/hook"}

    notification = await _plan(customer=Preferences(fallback_order=order), **(LEFT_TO_THEM | {"recipient": recipient}))

    assert notification.fallback == Fallback(("push",), timedelta(seconds=60))
    assert notification.deliveries["push"].status is S.QUEUED


@pytest.mark.parametrize("customer", [None, Preferences(), Preferences(fallback_order=("webhook",))])
async def test_an_order_that_nobody_has_is_refused(customer: Preferences | None) -> None:
    assert await _pointers(customer=customer, **LEFT_TO_THEM) == ["/routing/order"]
