"""Reads one provider's settings: all of them, or none at all."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from shared.domain.webhook_signature import decode_secret


def own_settings(settings: Mapping[str, str], *names: str) -> Mapping[str, str] | None:
    """The named settings, each with a value; None when not one of them is set: the provider is not configured.

    Raises:
        ValueError: some are set and others are missing; names the missing ones, shows no value.
    """
    values = {name: settings.get(name, "").strip() for name in names}
    missing = [name for name, value in values.items() if not value]
    if len(missing) == len(names):
        return None
    if missing:
        raise ValueError(f"missing setting: {', '.join(missing)}")
    return values


def shared_setting(settings: Mapping[str, str], name: str) -> str:
    """A setting that does not belong to one provider alone.

    Raises:
        ValueError: it is missing.
    """
    value = settings.get(name, "").strip()
    if not value:
        raise ValueError(f"missing setting: {name}")
    return value


def is_true(value: str) -> bool:
    """Whether a setting that may be ``true`` or ``false`` is ``true``."""
    return value.strip().lower() == "true"


def base_url(name: str, value: str) -> str:
    """An http or https origin, without a slash at its end.

    Raises:
        ValueError: ``value`` is no origin, or carries a path, a query or a user.
    """
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path not in {"", "/"}:
        raise ValueError(f"{name} must be an http or https URL without a path")
    if parts.query or parts.fragment or parts.username:
        raise ValueError(f"{name} must be an http or https URL without a path")
    return value.rstrip("/")


def webhook_secrets(name: str, value: str) -> tuple[str, ...]:
    """The ``whsec_`` secrets of a setting; several, separated by spaces, while they rotate.

    Raises:
        ValueError: one of them is malformed; names the setting.
    """
    secrets = tuple(value.split())
    try:
        for secret in secrets:
            decode_secret(secret)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    return secrets
