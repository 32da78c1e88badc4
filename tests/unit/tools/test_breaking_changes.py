"""Changes that would break a consumer are found, and additions are not."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from shared.contracts.openapi import openapi_document
from tools.contract.__main__ import contracts
from tools.contract.breaking import breaks_in_api, breaks_in_event

Change = Callable[[dict[str, Any]], object]
SCHEMAS = "components", "schemas"


def _schema(document: dict[str, Any], name: str) -> dict[str, Any]:
    schema: dict[str, Any] = document["components"]["schemas"][name]
    return schema


def _changed(change: Change) -> list[str]:
    new = copy.deepcopy(openapi_document())
    change(new)
    return list(breaks_in_api(openapi_document(), new))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda d: d["paths"].pop("/v1/notifications/batch"), "POST /v1/notifications/batch is gone"),
        (lambda d: d["paths"]["/v1/callback-endpoints/{id}"].pop("put"), "PUT /v1/callback-endpoints/{id} is gone"),
        (lambda d: _schema(d, "NotificationView")["properties"].pop("status"), "NotificationView.status is gone"),
        (lambda d: _schema(d, "SubmitNotification")["properties"].pop("data"), "SubmitNotification.data is gone"),
        (lambda d: _schema(d, "SubmitNotification")["required"].append("data"), "SubmitNotification.data is required"),
        (
            lambda d: _schema(d, "AcceptedView")["required"].remove("trackingId"),
            "AcceptedView.trackingId may be missing",
        ),
        (lambda d: _schema(d, "AcceptedView")["properties"]["status"].update(type="integer"), "has another type"),
        (lambda d: _schema(d, "Lane")["enum"].remove("low"), "Lane no longer knows low"),
        (lambda d: _schema(d, "DeviceTokenModel")["properties"]["platform"]["enum"].remove("apns"), "another type"),
        (lambda d: d["paths"]["/v1/notifications"]["post"]["responses"].pop("200"), "no longer answers 200"),
        (lambda d: d["paths"]["/v1/notifications"]["post"]["parameters"].pop(0), "has no parameter Idempotency-Key"),
        (
            lambda d: d["paths"]["/v1/notifications"]["post"]["parameters"][0].update(required=True, name="X-New"),
            "demands the new parameter X-New",
        ),
        (lambda d: d["paths"]["/v1/notifications"]["post"].update({"x-app-role": "Other"}), "asks for another role"),
        (lambda d: d["components"]["schemas"].pop("ProblemDocument"), "the schema ProblemDocument is gone"),
    ],
)
def test_a_removal_or_a_new_demand_is_told(change: Change, sentence: str):
    assert any(sentence in told for told in _changed(change))


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["paths"].update({"/v2/new": {"get": {"operationId": "new", "responses": {}}}}),
        lambda d: _schema(d, "SubmitNotification")["properties"].update(extra={"type": "string"}),
        lambda d: _schema(d, "NotificationView")["properties"].update(extra={"type": "string"}),
        lambda d: _schema(d, "Lane")["enum"].append("urgent"),
        lambda d: _schema(d, "NotificationView").update(description="Other words"),
        lambda d: d["paths"]["/v1/notifications"]["post"]["responses"].update({"429": {}}),
    ],
)
def test_an_addition_breaks_nobody(change: Change):
    assert _changed(change) == []


def test_an_event_that_loses_a_field_or_its_certainty_is_told():
    old = contracts()["events/NotificationStatus.json"]
    new = copy.deepcopy(old)
    del new["properties"]["channel"]
    new["$defs"]["StatusItem"]["required"].remove("trackingId")

    assert list(breaks_in_event("NotificationStatus", old, new)) == [
        "NotificationStatus.channel is gone",
        "StatusItem.trackingId may be missing now",
    ]
