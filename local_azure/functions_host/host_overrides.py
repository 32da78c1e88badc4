"""App settings that change host.json or switch functions off, without another deployment.

``AzureFunctionsJobHost__extensions__serviceBus__maxConcurrentCalls=4`` overrides the value at that path;
``AzureWebJobs.NAME.Disabled=true`` (or with ``__`` for the dots, where a shell allows none) switches a function off.
https://learn.microsoft.com/azure/azure-functions/functions-host-json#override-hostjson-values and
https://learn.microsoft.com/azure/azure-functions/disable-function. Case matters only for what host.json
does not have yet (assumed).
"""

import json
from collections.abc import Mapping
from typing import Any

_PREFIX = "azurefunctionsjobhost__"


def override_from_settings(document: dict[str, Any], environment: Mapping[str, str]) -> None:
    """Change the document of host.json in place."""
    for name, value in sorted(environment.items()):
        if name.lower().startswith(_PREFIX):
            *sections, last = name[len(_PREFIX) :].split("__")
            section = document
            for part in sections:
                section = _child(section, part)
            section[_present_name(section, last)] = _parsed(value)


def is_switched_off(function_name: str, environment: Mapping[str, str]) -> bool:
    wanted = {f"azurewebjobs{dot}{function_name}{dot}disabled".lower() for dot in (".", "__")}
    return any(value.lower() in ("true", "1") for name, value in environment.items() if name.lower() in wanted)


def _child(section: dict[str, Any], part: str) -> dict[str, Any]:
    child = section.setdefault(_present_name(section, part), {})
    return child if isinstance(child, dict) else {}


def _present_name(section: dict[str, Any], name: str) -> str:
    return next((present for present in section if present.lower() == name.lower()), name)


def _parsed(text: str) -> Any:
    """Numbers and truth values as such, everything else as text."""
    try:
        value = json.loads(text.lower() if text.lower() in ("true", "false") else text)
    except ValueError:
        return text
    return value if isinstance(value, bool | int | float) else text
