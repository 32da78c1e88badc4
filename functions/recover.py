"""Recover: the sweeper, which moves what should have moved and has not, and the clearing of finished orchestrations."""

from datetime import timedelta
from typing import Any

import azure.durable_functions as df
import azure.functions as func

from shared.adapters.durable_orchestrations import DurableOrchestrations
from shared.bootstrap import services
from shared.pipeline import recover

blueprint = df.Blueprint()

_HISTORY_KEPT = timedelta(days=1)  # what an orchestration did is in the notification's own history as well
_LOOKS_BACK = timedelta(days=30)


@blueprint.function_name("sweep")
@blueprint.timer_trigger(arg_name="timer", schedule="%SWEEP_SCHEDULE%", use_monitor=False)
async def sweep(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the binding demands the parameter
    """Publishes what was never published, and settles what a dead worker left behind."""
    await recover.sweep(services())


@blueprint.function_name("forget_orchestrations")
@blueprint.timer_trigger(arg_name="timer", schedule="0 17 * * * *")
@blueprint.durable_client_input(client_name="client")
async def forget_orchestrations(timer: func.TimerRequest, client: Any) -> None:  # noqa: ARG001 - as above
    """Forgets orchestrations that ended, so that waits and retries don't fill the history for ever."""
    until = services().clock.now() - _HISTORY_KEPT
    await DurableOrchestrations(client).forget_finished(until - _LOOKS_BACK, until)
