"""Physical partition ranges of a container and the `pkranges` feed.

The hash space "" .. "FF" is cut into equal parts; hashes have their two top bits cleared, so the cuts lie between
"00" and "40". The feed answers a literal 304 for its own etag: the SDK drains it until then and has no page cap.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class PartitionRange:
    """One physical partition: the documents whose effective key is in [low, high)."""

    id: str
    low: str
    high: str


def make_ranges(count: int) -> tuple[PartitionRange, ...]:
    cuts = [""] + [f"{(0x4000_0000 * i) // count:08X}" + "0" * 24 for i in range(1, count)] + ["FF"]
    return tuple(PartitionRange(str(i), cuts[i], cuts[i + 1]) for i in range(count))


def range_index(ranges: tuple[PartitionRange, ...], epk: str) -> int:
    for index, part in enumerate(ranges):
        if epk < part.high:
            return index
    return len(ranges) - 1


def describe(ranges: tuple[PartitionRange, ...], container_rid: str, lsn: int) -> list[dict[str, Any]]:
    return [
        {
            "_rid": container_rid,
            "id": part.id,
            "_etag": f'"{part.id}"',
            "minInclusive": part.low,
            "maxExclusive": part.high,
            "ridPrefix": int(part.id),
            "_self": "",
            "throughputFraction": 1 / len(ranges),
            "status": "online",
            "parents": [],
            "ownedArchivalPKRangeIds": [],
            "_ts": 0,
            "lsn": lsn,
        }
        for part in ranges
    ]
