import asyncio

from shared.pipeline.bulkhead import Bulkhead
from tests.fakes.virtual_time import run_virtually


async def _hold(bulkhead: Bulkhead, count: int, channel: str, *, seconds: float, log: list[str], name: str) -> None:
    async with bulkhead.room_for(count, channel):
        log.append(f"{name} in")
        await asyncio.sleep(seconds)
    log.append(f"{name} out")


def test_a_full_channel_waits_and_another_does_not() -> None:
    async def scene() -> list[str]:
        bulkhead, log = Bulkhead(10), []
        await asyncio.gather(
            _hold(bulkhead, 10, "email", seconds=5, log=log, name="slow"),
            _hold(bulkhead, 1, "email", seconds=1, log=log, name="waits"),
            _hold(bulkhead, 1, "sms", seconds=1, log=log, name="other"),
        )
        return log

    assert run_virtually(scene()) == ["slow in", "other in", "other out", "slow out", "waits in", "waits out"]


def test_more_than_the_capacity_gets_all_of_it() -> None:
    async def scene() -> list[str]:
        bulkhead, log = Bulkhead(10), []
        await asyncio.gather(
            _hold(bulkhead, 50, "email", seconds=1, log=log, name="huge"),
            _hold(bulkhead, 1, "email", seconds=1, log=log, name="small"),
        )
        return log

    assert run_virtually(scene()) == ["huge in", "huge out", "small in", "small out"]


def test_places_are_given_back_after_a_failure_and_after_giving_up_waiting() -> None:
    async def scene() -> None:
        bulkhead = Bulkhead(1)

        async def fail() -> None:
            async with bulkhead.room_for(1, "email"):
                raise ValueError

        await asyncio.gather(fail(), return_exceptions=True)
        async with bulkhead.room_for(1, "email"):
            try:
                async with asyncio.timeout(1), bulkhead.room_for(1, "email"):
                    raise AssertionError
            except TimeoutError:
                pass
        async with asyncio.timeout(1), bulkhead.room_for(1, "email"):
            pass

    run_virtually(scene())
