"""Makes the listener of a timer trigger from its binding."""

from local_azure.functions_host.function_table import Function
from local_azure.functions_host.listeners import Surroundings
from local_azure.functions_host.timer_listener import TimerListener, TimerMemory
from local_azure.functions_host.timer_schedule import TimerSchedule


def make_listener(function: Function, surroundings: Surroundings) -> TimerListener:
    """The timer of the function.

    Raises:
        SettingsInvalid: the schedule or the time zone cannot be read.
    """
    trigger, environment = function.trigger, surroundings.environment
    zone = environment.get("WEBSITE_TIME_ZONE", "UTC")
    return TimerListener(
        function.name,
        TimerSchedule(trigger.text("schedule", environment), zone),
        TimerMemory.load(surroundings.data_folder / "timers" / f"{function.name}.json"),
        surroundings.text_runner(function),
        run_on_startup=trigger.flag("runOnStartup"),
        use_monitor="useMonitor" not in trigger.fields or trigger.flag("useMonitor"),
        retry=function.retry,
    )


async def run_by_hand(function: Function, surroundings: Surroundings, text: str) -> None:  # noqa: ARG001 - no input
    """Run out of turn; the schedule's memory stays as it is."""
    request = make_listener(function, surroundings).request()
    await surroundings.text_runner(function)(request, (0, 0))
