"""What a person sees when everything is up: addresses, how to call the API, where the logs are."""

from collections.abc import Mapping, Sequence

from local_azure.up.data_folder import DataFolder
from local_azure.up.part import Part


def banner(parts: Sequence[Part], folder: DataFolder, chosen: Mapping[str, str]) -> str:
    pages = [(title, url) for part in parts for title, url in part.pages.items()]
    rows = [
        *pages,
        ("token", "make -s token"),
        ("a call to paste", "make -s curl"),
        ("logs", f"{folder.path / 'logs'}/<part>.log"),
        ("stop", "Ctrl-C"),
    ]
    rows += [("own setting", f"{name}, from {source}") for name, source in sorted(chosen.items())]
    width = max(len(title) for title, _ in rows)
    lines = [f"  {title.ljust(width)}  {text}" for title, text in rows]
    rule = "─" * min(100, max(map(len, lines)))
    return "\n".join([rule, *lines, rule])
