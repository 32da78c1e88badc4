"""The functions of the Customer Notification Service, in the order a notification meets them."""

import azure.functions as func

from functions import (
    api_keys,
    audit,
    callback_endpoints,
    callbacks,
    changes,
    contract,
    dead_letters,
    deliver,
    health,
    notifications,
    operations,
    orchestrations,
    preferences,
    privacy,
    receipts,
    recover,
    replays,
    submit,
    tenant_policies,
    timeline,
    track,
    unknown_route,
    unsubscribe,
)

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)  # callers are authenticated in functions/http_edge.py

app.register_functions(submit.blueprint)
app.register_functions(deliver.blueprint)
app.register_functions(orchestrations.blueprint)
app.register_functions(receipts.blueprint)
app.register_functions(track.blueprint)
app.register_functions(changes.blueprint)
app.register_functions(callbacks.blueprint)
app.register_functions(notifications.blueprint)
app.register_functions(timeline.blueprint)
app.register_functions(preferences.blueprint)
app.register_functions(unsubscribe.blueprint)
app.register_functions(privacy.blueprint)
app.register_functions(callback_endpoints.blueprint)
app.register_functions(tenant_policies.blueprint)
app.register_functions(api_keys.blueprint)
app.register_functions(recover.blueprint)
app.register_functions(dead_letters.blueprint)
app.register_functions(replays.blueprint)
app.register_functions(audit.blueprint)
app.register_functions(operations.blueprint)
app.register_functions(health.blueprint)
app.register_functions(contract.blueprint)
app.register_functions(unknown_route.blueprint)
