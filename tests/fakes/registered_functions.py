"""The functions of the app by name; they can be collected once per process only."""

from functools import cache
from typing import Any

import function_app


@cache
def registered_functions() -> dict[str, Any]:
    return {each.get_function_name(): each for each in function_app.app.get_functions()}
