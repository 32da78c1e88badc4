"""An app that the genuine indexer refuses: the binding's name and the parameter's differ."""

import azure.functions as func

app = func.FunctionApp()


@app.timer_trigger(arg_name="timer", schedule="0 0 3 * * *")
async def nightly(clock: func.TimerRequest) -> None:
    """Never runs."""
