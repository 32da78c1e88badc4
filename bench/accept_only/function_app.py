"""The accepting half of the app alone, as a deployment of its own may be: what it accepts stays on the bus.

With it the bench measures accepting without delivering, and builds a backlog of any size. bench/stack.py puts links to
the project's ``functions``, ``shared`` and ``host.json`` beside a copy of this file.
"""

import azure.functions as func

from functions import health, submit

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)  # callers are authenticated in functions/http_edge.py
app.register_functions(submit.blueprint)
app.register_functions(health.blueprint)
