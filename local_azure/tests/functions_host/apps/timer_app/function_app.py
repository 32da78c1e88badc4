"""Timer triggers, for the tests of the functions host. What happens is appended to RECORD_FILE."""

import asyncio
import json
import os
import time
from pathlib import Path

import azure.functions as func

app = func.FunctionApp()
FAILURES_LEFT = [2]


def record(**seen: object) -> None:
    with Path(os.environ["RECORD_FILE"]).open("a") as file:
        file.write(json.dumps({**seen, "at": time.time()}) + "\n")


@app.timer_trigger(arg_name="timer", schedule="%EVERY_SECOND%")
async def every_second(timer: func.TimerRequest) -> None:
    record(function="every_second", past_due=timer.past_due, last=timer.schedule_status["Last"])
    await asyncio.sleep(0.2)
    record(function="every_second", ended=True)


@app.timer_trigger(arg_name="timer", schedule="0 0 3 1 1 *", run_on_startup=True)
@app.retry(strategy="fixed_delay", max_retry_count="3", delay_interval="00:00:00")
async def at_startup(timer: func.TimerRequest, context: func.Context) -> None:
    record(function="at_startup", retry=context.retry_context.retry_count)
    if FAILURES_LEFT[0]:
        FAILURES_LEFT[0] -= 1
        raise ValueError("not yet")


@app.timer_trigger(arg_name="timer", schedule="1.00:00:00")
async def once_a_day(timer: func.TimerRequest) -> None:
    record(function="once_a_day")
