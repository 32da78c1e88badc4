"""Personal data: the keys it is sealed with."""

import azure.functions as func

from shared.bootstrap import services
from shared.pipeline import data_keys

blueprint = func.Blueprint()


@blueprint.function_name("look_after_data_keys")
@blueprint.timer_trigger(arg_name="timer", schedule="0 40 3 * * *")
async def look_after_data_keys(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the binding demands the parameter
    """Wraps data keys anew after a rotation, makes next week's, destroys what is over."""
    await data_keys.look_after_data_keys(services())
