"""Timer triggers in a running host."""

from local_azure.tests.functions_host.part_process import wait_until


async def test_a_timer_fires_on_time_and_a_retry_policy_is_honoured(start_host):
    host = start_host("timer_app", EVERY_SECOND="* * * * * *", AzureWebJobs__once_a_day__Disabled="true")

    def fired(name: str) -> list[dict]:
        return [record for record in host.records() if record["function"] == name and "ended" not in record]

    await wait_until(lambda: len(fired("every_second")) >= 2)

    runs = fired("every_second")
    assert all(run["at"] % 1 < 0.25 for run in runs), "within a quarter of a second of the due instant"
    assert not any(run["past_due"] for run in runs)
    assert [run["retry"] for run in fired("at_startup")] == [0, 1, 2]
    assert not fired("once_a_day")
    assert {timer["function"] for timer in host.metrics()["listeners"]} == {"every_second", "at_startup"}


async def test_the_last_run_is_remembered_over_a_restart(start_host):
    first = start_host("timer_app", EVERY_SECOND="00:00:01")
    await wait_until(lambda: len(first.records()) > 4)
    first.kill()
    last = [record["last"] for record in first.records() if "last" in record][-1]

    second = start_host("timer_app", data=first.data, EVERY_SECOND="00:00:01")
    runs = await wait_until(
        lambda: [record for record in second.records() if record.get("last", "") > last], what="a run after the restart"
    )

    assert not runs[0]["last"].startswith("0001")
