"""Customers' profiles: read, write whole, change in part.

A change that takes something away (an opt-out, a pause, another address) is answered only when no process acts on what
was before (consents.py). One that only adds is answered at once.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import orjson

from shared.channels import CHANNELS
from shared.contracts.entity_tag import entity_tag
from shared.contracts.preferences_api import MAX_PREFERENCES_BYTES, PreferencesModel, PreferencesView
from shared.contracts.request_body import read_body
from shared.domain.channel import AddressProblem, Recipient
from shared.domain.errors import FieldError, InvalidSubmission, NotFound, VersionChanged
from shared.domain.preferences import Preferences, PreferencesVersion
from shared.pipeline.services import Services
from shared.ports import Caller

_CUSTOMER_ID = re.compile(r"[^/\\?#\s\x00-\x1f]{1,128}")  # it becomes part of the store's addresses
_NOT_WRITTEN = {"customerId", "changedAt"}


@dataclass(frozen=True, slots=True)
class Condition:
    """What must hold for a write: the tag of what is replaced, or that nothing is there yet; neither: anything goes."""

    if_match: str | None = None
    if_absent: bool = False


@dataclass(frozen=True, slots=True)
class PreferencesAnswer:
    """A profile's JSON and the entity tag of its version."""

    answer: bytes
    etag: str
    is_new: bool = False


async def read_preferences(customer_id: str, caller: Caller, services: Services) -> PreferencesAnswer:
    """The profile. Raises NotFound."""
    found = await services.preferences.read(caller.tenant_id, _checked(customer_id))
    if found is None:
        raise NotFound(customer_id)
    return _answer(customer_id, found)


async def replace_preferences(
    customer_id: str, body: bytes, condition: Condition, caller: Caller, services: Services
) -> PreferencesAnswer:
    """The profile, replaced by ``body``.

    Raises:
        InvalidSubmission: the body is no profile.
        VersionChanged: the condition does not hold.
    """
    wanted = _parsed(body, services.clock.now())
    known = await services.preferences.read(caller.tenant_id, _checked(customer_id))
    _check(condition, known)
    return await _store(customer_id, known, wanted, caller, services)


async def change_preferences(
    customer_id: str, body: bytes, condition: Condition, caller: Caller, services: Services
) -> PreferencesAnswer:
    """The profile with the changes in ``body``, a JSON merge patch (RFC 7396).

    Raises:
        NotFound: there is none to change.
        InvalidSubmission: the result would be no profile.
        VersionChanged: the condition does not hold, or somebody else changed it at the same time.
    """
    known = await services.preferences.read(caller.tenant_id, _checked(customer_id))
    if known is None:
        raise NotFound(customer_id)
    _check(condition, known)
    before = orjson.loads(PreferencesView.of(customer_id, known.preferences).to_json())
    before = {name: value for name, value in before.items() if name not in _NOT_WRITTEN}
    wanted = _parsed(orjson.dumps(_merged(before, _object(body))), services.clock.now())
    return await _store(customer_id, known, wanted, caller, services)


def _check(condition: Condition, known: PreferencesVersion | None) -> None:
    if condition.if_absent and known is not None:
        raise VersionChanged("there is a profile already")
    if condition.if_match is not None and condition.if_match != entity_tag(known.version if known else ""):
        raise VersionChanged("the profile was changed after it was read")


async def _store(
    customer_id: str, known: PreferencesVersion | None, wanted: Preferences, caller: Caller, services: Services
) -> PreferencesAnswer:
    # Always on the version that was looked at: of two writers one is told, even when neither set a condition.
    stored = await services.preferences.replace(caller.tenant_id, customer_id, wanted, known.version if known else "")
    if known is None or _takes_away(known.preferences, wanted):
        await services.consents.changed(caller.tenant_id, customer_id)
    return _answer(customer_id, stored, is_new=known is None)


def _takes_away(before: Preferences, after: Preferences) -> bool:
    """Whether acting on ``before`` could do what ``after`` forbids."""
    return (
        any(not word.granted for key, word in after.consents.items() if before.consents.get(key) != word)
        or any(word.granted for key, word in before.consents.items() if key not in after.consents)
        or after.addresses != before.addresses
        or (after.quiet_hours, after.paused_until) != (before.quiet_hours, before.paused_until)
        or (after.time_zone, after.locale) != (before.time_zone, before.locale)
    )


def _checked(customer_id: str) -> str:
    if not _CUSTOMER_ID.fullmatch(customer_id) or not customer_id.isprintable() or customer_id.startswith("!"):
        raise NotFound(customer_id)
    return customer_id


def _object(body: bytes) -> dict[str, object]:
    try:
        changes = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidSubmission([FieldError("", "is not JSON")], status=400) from error
    if not isinstance(changes, dict):
        raise InvalidSubmission([FieldError("", "is not an object")])
    return changes


def _merged(target: object, changes: object) -> object:
    """RFC 7396: null removes, objects merge, everything else replaces."""
    if not isinstance(changes, dict):
        return changes
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in changes.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), value)
    return merged


def _parsed(body: bytes, now: datetime) -> Preferences:
    wanted = read_body(PreferencesModel, body, MAX_PREFERENCES_BYTES).to_domain(now)
    errors = list(_address_errors(wanted))
    if errors:
        raise InvalidSubmission(errors)
    return wanted


def _address_errors(wanted: Preferences) -> Iterator[FieldError]:
    """The channels know what an address looks like."""
    recipient = wanted.completed(Recipient())
    for channel in CHANNELS.values():
        if next(iter(channel.recipient)) in recipient.written:
            try:
                channel.address(recipient)
            except AddressProblem as problem:
                yield FieldError(problem.pointer.replace("/recipient", "/addresses", 1), problem.detail)


def _answer(customer_id: str, found: PreferencesVersion, *, is_new: bool = False) -> PreferencesAnswer:
    view = PreferencesView.of(customer_id, found.preferences)
    return PreferencesAnswer(view.to_json(), entity_tag(found.version), is_new)
