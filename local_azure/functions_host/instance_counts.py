"""How many workers to start: ``--workers``, ``FUNCTIONS_WORKER_PROCESS_COUNT`` and ``--instances NAME=N``."""

from collections.abc import Iterable, Mapping

from local_azure.functions_host.errors import SettingsInvalid

PROCESS_COUNT_SETTING = "FUNCTIONS_WORKER_PROCESS_COUNT"


def read_worker_count(given: int | None, environment: Mapping[str, str]) -> int:
    """The default workers; the command line wins over the setting, which Azure has as well.

    Raises:
        SettingsInvalid: it is no number of at least one.
    """
    source, text = ("--workers", str(given)) if given is not None else (PROCESS_COUNT_SETTING, "")
    text = text or environment.get(PROCESS_COUNT_SETTING) or "1"
    if not (text.isascii() and text.isdigit() and int(text) >= 1):
        raise SettingsInvalid(f"{source} must be a whole number of at least 1, not {text!r}")
    return int(text)


def read_instances(texts: Iterable[str]) -> dict[str, int]:
    """Counts by name, from texts like ``deliver_email_high=3``; the last of a name counts.

    Raises:
        SettingsInvalid: a text has another shape.
    """
    counts: dict[str, int] = {}
    for text in texts:
        name, _, count = text.partition("=")
        if not name or not (count.isascii() and count.isdigit()):
            raise SettingsInvalid(f"--instances {text!r}: it is written NAME=N, such as http=2")
        counts[name] = int(count)
    return counts
