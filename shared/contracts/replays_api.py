"""Replays as they are ordered and watched."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from shared.contracts.channel_name import ChannelName
from shared.contracts.dead_letters_api import LetterTenant
from shared.contracts.field_types import Inbound, Instant, Outbound, TemplateId
from shared.domain.dead_letter import Selection, Tag
from shared.domain.replay import MAX_REPLAYED_IDS, MAX_REPLAYS_PER_SECOND, USUAL_REPLAYS_PER_SECOND, Replay

MAX_ORDER_BYTES = 64 * 1024

LetterId = Annotated[str, StringConstraints(pattern=r"^[0-9]{8}\.[A-Za-z0-9._-]{1,120}$")]


class ReplayFilter(Inbound):
    """Which dead letters are to be replayed: those that are open and meet all of it. At least one condition."""

    tag: Tag | None = None
    channel: ChannelName | None = None
    template: TemplateId | None = None
    since: Annotated[Instant | None, Field(alias="from")] = None
    until: Annotated[Instant | None, Field(alias="to")] = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("needs at least one condition")
        return self


class OrderReplay(Inbound):
    """An order to replay dead letters: by their ids, or all that meet a filter. ``tenant`` ``*`` means all tenants."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"filter": {"tag": "exhausted", "channel": "sms"}, "ratePerSecond": 5}]}
    )

    ids: Annotated[list[LetterId], Field(min_length=1, max_length=MAX_REPLAYED_IDS)] | None = None
    filter: ReplayFilter | None = None
    tenant: LetterTenant | Literal["*"] | None = None
    rate_per_second: Annotated[float, Field(strict=True, ge=0.1, le=MAX_REPLAYS_PER_SECOND, allow_inf_nan=False)] = (
        USUAL_REPLAYS_PER_SECOND
    )
    ignore_expiry: Annotated[bool, Field(strict=True)] = False

    @model_validator(mode="after")
    def _selects_one_way(self) -> Self:
        if (self.ids is None) == (self.filter is None):
            raise ValueError("needs either ids or filter")
        if self.ids and self.tenant == "*":
            raise ValueError("ids are of one tenant")
        return self


class ReplayFilterView(Outbound):
    """What was selected."""

    tag: str | None = None
    channel: str | None = None
    template: str | None = None
    since: Annotated[datetime, Field(serialization_alias="from")]
    until: Annotated[datetime, Field(serialization_alias="to")]

    @classmethod
    def of(cls, selection: Selection) -> "ReplayFilterView":
        """The selection as it goes out."""
        return cls(
            tag=selection.tag.value if selection.tag else None,
            channel=selection.channel,
            template=selection.template,
            since=selection.since,
            until=selection.until,
        )


class ReplayView(Outbound):
    """A replay and how far it has come. ``selected`` was counted when it was ordered."""

    id: str
    state: str
    tenant: str | None = None
    filter: ReplayFilterView | None = None
    selected: int
    replayed: int
    skipped: dict[str, int]
    failed: int
    rate_per_second: float
    ignore_expiry: bool
    ordered_by: str
    ordered_at: datetime
    touched_at: datetime
    links: dict[str, str]

    @classmethod
    def of(cls, replay: Replay) -> "ReplayView":
        """The replay as it goes out; ``tenant`` is absent when it is for all."""
        return cls(
            id=replay.id,
            state=replay.state.value,
            tenant=replay.selection.tenant,
            filter=None if replay.ids else ReplayFilterView.of(replay.selection),
            selected=replay.selected,
            replayed=replay.replayed,
            skipped=dict(replay.skipped),
            failed=replay.failed,
            rate_per_second=replay.rate,
            ignore_expiry=replay.ignores_expiry,
            ordered_by=replay.ordered_by,
            ordered_at=replay.ordered_at,
            touched_at=replay.touched_at,
            links={"self": f"/api/v1/dead-letters/replays/{replay.id}"},
        )


class ReplayListView(Outbound):
    """The replays ordered last, newest first."""

    replays: list[ReplayView]
