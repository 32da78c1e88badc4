"""Takes a mail/send body, gives the vendor's list of errors.

Messages and fields as on https://www.twilio.com/docs/sendgrid/api-reference/mail-send/errors (read 2026-11); where that
page names no field, the field is the path of the offending value, as the live API answers (unverified against it).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import orjson

MAX_PERSONALIZATIONS = 1000
MAX_RECIPIENTS = 1000
MAX_CUSTOM_ARGS_BYTES = 10_000
MAX_SUBSTITUTIONS_BYTES = 10_000
MAX_CATEGORIES = 10
_ADDRESS = re.compile(r"[^@\s<>,;\"\x00-\x1f]{1,64}@[^@\s<>,;\"\x00-\x1f.]+(?:\.[^@\s<>,;\"\x00-\x1f.]+)*")
_RESERVED_HEADERS = frozenset(
    (
        "x-sg-id",
        "x-sg-eid",
        "received",
        "dkim-signature",
        "content-type",
        "content-transfer-encoding",
        "to",
        "from",
        "subject",
        "reply-to",
        "cc",
        "bcc",
    )
)

Error = dict[str, str | None]


def error(message: str, field: str | None = None) -> Error:
    return {"message": message, "field": field, "help": None}


def find_errors(mail: Any) -> list[Error]:
    """Every error of the mail, empty when it is valid."""
    if not isinstance(mail, dict):
        return [error("Bad Request")]
    people = mail.get("personalizations")
    if not isinstance(people, list) or not people:
        return [
            error(
                "The personalizations field is required and must have at least one personalization.", "personalizations"
            )
        ]
    if len(people) > MAX_PERSONALIZATIONS:
        return [
            error(
                "The personalization block is limited to 1000 personalizations per API request. You have provided "
                f"{len(people)} personalizations. Please consider splitting this into multiple requests and resending "
                "your request.",
                "personalizations",
            )
        ]
    return [*_personalization_errors(mail, people), *_envelope_errors(mail, people), *_content_errors(mail)]


def _personalization_errors(mail: dict[str, Any], people: list[Any]) -> Iterator[Error]:
    recipients = 0
    everyone: set[str] = set()
    for number, person in enumerate(people):
        where = f"personalizations.{number}"
        if not isinstance(person, dict):
            yield error("Each personalization must be an object.", where)
            continue
        if not isinstance(person.get("to"), list) or not person["to"]:
            yield error(
                "The to array is required for all personalization objects, and must have at least one email object "
                "with a valid email address.",
                f"{where}.to",
            )
            continue
        seen: set[str] = set()
        for kind in ("to", "cc", "bcc"):
            addresses = person.get(kind) or []
            if not isinstance(addresses, list):
                yield error(f"The {kind} field must be an array of email objects.", f"{where}.{kind}")
                continue
            recipients += len(addresses)
            for position, address in enumerate(addresses):
                yield from _address_errors(address, f"{where}.{kind}.{position}", seen, f"{where}.{kind}", where)
        yield from _repeated_errors(seen & everyone)
        everyone |= seen
        yield from _personal_data_errors(mail, person, where)
    if recipients > MAX_RECIPIENTS:
        yield error("There is a limit of 1000 total recipients (to + cc + bcc) per request.", "personalizations")


def _repeated_errors(addresses: set[str]) -> Iterator[Error]:
    for email in addresses:
        yield error(
            "Each unique email address in the personalizations array should only be included once. You have included "
            f"[{email}] more than once.",
            "personalizations",
        )


def _address_errors(address: Any, field: str, seen: set[str], kind: str, block: str) -> Iterator[Error]:
    email = address.get("email") if isinstance(address, dict) else None
    if not isinstance(email, str) or _ADDRESS.fullmatch(email) is None:
        yield error("Does not contain a valid address.", f"{field}.email")
        return
    email = email.lower()
    if email in seen:
        yield error(
            "Each email address in the personalization block should be unique between to, cc, and bcc. We found the "
            f"first duplicate instance of [{email}] in the {kind} field.",
            block,
        )
    seen.add(email)


def _personal_data_errors(mail: dict[str, Any], person: dict[str, Any], where: str) -> Iterator[Error]:
    yield from _custom_args_errors(person.get("custom_args"), f"{where}.custom_args")
    yield from _header_errors(person.get("headers") or {}, f"{where}.headers")
    substitutions = person.get("substitutions")
    if substitutions is None:
        return
    if not _is_text_map(substitutions):
        yield error("Substitutions must be an object of strings.", f"{where}.substitutions")
    elif str(mail.get("template_id", "")).startswith("d-"):
        yield error("Substitutions may not be used with dynamic templating", f"{where}.substitutions")
    elif _size(substitutions) > MAX_SUBSTITUTIONS_BYTES:
        yield error(
            "The substitutions are limited to 10000 bytes per personalization object.", f"{where}.substitutions"
        )


def _custom_args_errors(arguments: Any, field: str) -> Iterator[Error]:
    if arguments is None:
        return
    if not _is_text_map(arguments):
        yield error("The custom_args values must be strings.", field)
    elif _size(arguments) > MAX_CUSTOM_ARGS_BYTES:
        yield error("The custom_args are limited to 10000 bytes.", field)


def _envelope_errors(mail: dict[str, Any], people: list[Any]) -> Iterator[Error]:
    sender = mail.get("from")
    if not isinstance(sender, dict) or not sender.get("email"):
        yield error(
            "The from object must be provided for every email send. It is an object that requires the email parameter, "
            'but may also contain a name parameter.  e.g. {"email" : "example@example.com"}  or '
            '{"email" : "example@example.com", "name" : "Example Recipient"}.',
            "from.email",
        )
    else:
        yield from _address_errors(sender, "from", set(), "from", "from")
    if mail.get("reply_to") is not None:
        yield from _address_errors(mail["reply_to"], "reply_to", set(), "reply_to", "reply_to")
    if not mail.get("subject") and not mail.get("template_id") and not all(_has_subject(person) for person in people):
        yield error(
            "The subject is required. You can get around this requirement if you use a template with a subject defined "
            "or if every personalization has a subject defined.",
            "subject",
        )
    yield from _custom_args_errors(mail.get("custom_args"), "custom_args")
    categories = mail.get("categories") or []
    if not isinstance(categories, list):
        yield error("The categories must be an array of strings.", "categories")
    elif len(categories) > MAX_CATEGORIES:
        yield error("A maximum of 10 categories can be assigned to an email.", "categories")
    yield from _header_errors(mail.get("headers") or {}, "headers")


def _header_errors(headers: Any, field: str) -> Iterator[Error]:
    if not _is_text_map(headers):
        yield error("The headers must be an object of strings.", field)
        return
    for name in headers:
        if name.lower() in _RESERVED_HEADERS:
            yield error(f"The header {name} is reserved and cannot be used.", f"{field}.{name}")


def _content_errors(mail: dict[str, Any]) -> Iterator[Error]:
    content = mail.get("content")
    if not content or not isinstance(content, list):
        if not mail.get("template_id") or content:
            yield error(
                "Unless a valid template_id is provided, the content parameter is required. There must be at least one "
                "defined content block. We typically suggest both text/plain and text/html blocks are included, but "
                "only one block is required.",
                "content",
            )
        return
    kinds: list[str] = []
    for number, block in enumerate(content):
        kind, value = (block.get("type"), block.get("value")) if isinstance(block, dict) else (None, None)
        if not isinstance(value, str) or not value:
            yield error(
                "The content value must be a string at least one character in length.", f"content.{number}.value"
            )
        if not isinstance(kind, str) or not kind:
            yield error("The content type must be a string at least one character in length.", f"content.{number}.type")
        kinds.append(str(kind))
    if "text/plain" in kinds[1:] or ("text/html" in kinds and kinds.index("text/html") > kinds.count("text/plain")):
        yield error(
            "If present, text/plain content must be first, followed by text/html, followed by any other content.",
            "content",
        )


def _has_subject(person: Any) -> bool:
    return isinstance(person, dict) and bool(person.get("subject"))


def _is_text_map(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _size(value: dict[str, str]) -> int:
    return len(orjson.dumps(value))
