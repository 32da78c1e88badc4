import asyncio

import pytest

from shared.adapters.cosmos_lane_board import CosmosLaneBoard
from shared.domain.errors import StoreUnavailable
from shared.domain.lane_telling import LaneEntry, Telling
from shared.domain.notification import Lane
from tests.fakes.in_memory_cosmos import InMemoryDatabase

EMAIL, SMS = ("email", Lane.NORMAL), ("sms", Lane.HIGH)


@pytest.fixture
def database() -> InMemoryDatabase:
    return InMemoryDatabase()


@pytest.fixture
def board(database: InMemoryDatabase) -> CosmosLaneBoard:
    return CosmosLaneBoard(database)  # type: ignore[arg-type]


async def test_before_anybody_told_there_is_nothing(board: CosmosLaneBoard) -> None:
    assert await board.read() == {}


async def test_what_is_told_adds_up_and_is_answered_and_read(board: CosmosLaneBoard) -> None:
    await board.tell({EMAIL: Telling(1.5, 0.5, started=3, asked=10)})

    answered = await board.tell({EMAIL: Telling(2.0, 0.5, started=4), SMS: Telling(asked=7)})

    assert answered == {EMAIL: LaneEntry(2.0, 0.5, 2, 7, 10), SMS: LaneEntry(asked=7)}
    assert await board.read() == answered


async def test_many_processes_may_begin_at_once(board: CosmosLaneBoard) -> None:
    await asyncio.gather(*(board.tell({EMAIL: Telling(1.0, 1.0, started=1)}) for _ in range(20)))

    assert (await board.read())[EMAIL] == LaneEntry(1.0, 1.0, 20, 20, 0)


async def test_more_than_a_patch_may_hold_goes_in_several(board: CosmosLaneBoard) -> None:
    everything = {(channel, lane): Telling(1.0, 1.0, 2, 3) for channel in ("email", "sms", "push") for lane in Lane}

    answered = await board.tell(everything)

    assert answered == dict.fromkeys(everything, LaneEntry(1.0, 1.0, 1, 2, 3))


async def test_a_channel_with_an_underscore_keeps_its_name(board: CosmosLaneBoard) -> None:
    key = ("voice_call", Lane.LOW)

    assert await board.tell({key: Telling(1.0, 1.0)}) == {key: LaneEntry(1.0, 1.0, 1)}


async def test_what_a_later_version_adds_is_left_alone(board: CosmosLaneBoard, database: InMemoryDatabase) -> None:
    await board.tell({EMAIL: Telling(1.0, 1.0)})
    [document] = database.container("rate-limits").documents.values()
    document |= {"email_normal_depth": 5, "anything": {"else": 1}, "x_y_lag": 2}

    assert await board.read() == {EMAIL: LaneEntry(1.0, 1.0, 1)}


async def test_a_store_that_is_away_is_said_in_our_words(board: CosmosLaneBoard, database: InMemoryDatabase) -> None:
    database.away = True

    with pytest.raises(StoreUnavailable):
        await board.read()
    with pytest.raises(StoreUnavailable):
        await board.tell({EMAIL: Telling(1.0, 1.0)})
