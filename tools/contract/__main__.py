"""Writes the published contract: the OpenAPI document, and the JSON Schemas of events and callbacks.

python -m tools.contract            writes docs/openapi/ and docs/schemas/ anew
python -m tools.contract --release  and makes them the release that later changes are held against
"""

import argparse
import json
from pathlib import Path
from typing import Any

from shared.contracts.callback_payload import CallbackBody
from shared.contracts.events import NotificationStatus, NotificationSubmitted
from shared.contracts.openapi import openapi_document

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "docs" / "openapi"


def contracts() -> dict[str, dict[str, Any]]:
    """Every published contract by its file name."""
    events = {model.__name__: model for model in (NotificationSubmitted, NotificationStatus)}
    return {
        "v1.json": openapi_document(),
        **{f"events/{name}.json": model.model_json_schema(by_alias=True) for name, model in events.items()},
        "callbacks/callback.json": CallbackBody.model_json_schema(by_alias=True),
    }


def main() -> None:
    """Writes the files."""
    parser = argparse.ArgumentParser(prog="python -m tools.contract", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--release", action="store_true", help="also as the release that changes are held against")
    arguments = parser.parse_args()
    for folder in (PUBLISHED, PUBLISHED / "released")[: 2 if arguments.release else 1]:
        for name, contract in contracts().items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(json.dumps(contract, indent=1, ensure_ascii=False, sort_keys=True) + "\n", "utf-8")
            print(target.relative_to(ROOT))


if __name__ == "__main__":
    main()
