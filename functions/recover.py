"""Recover: the sweeper, which moves what should have moved and has not."""

import azure.functions as func

from shared.bootstrap import services
from shared.pipeline import recover

blueprint = func.Blueprint()


@blueprint.function_name("sweep")
@blueprint.timer_trigger(arg_name="timer", schedule="%SWEEP_SCHEDULE%", use_monitor=False)
async def sweep(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the binding demands the parameter
    """Publishes what was never published, and settles what a dead worker left behind."""
    await recover.sweep(services())
