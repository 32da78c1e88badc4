"""The request-unit model: what an operation is charged. Documented in README.md; estimates, not Azure's meter.

Anchors (https://learn.microsoft.com/azure/cosmos-db/request-units, read 2026-11): a 1 KB point read costs 1 RU and a
100 KB one 10 RU; a 1 KB write with default indexing costs about 5 RU and a 100 KB one 50 RU. Between them it is linear.
"""

READ_1KB = 1.0
CREATE_1KB = 5.71
REPLACE_1KB = 10.29
DELETE_1KB = 5.71
QUERY_BASE = 2.8
QUERY_PER_RESULT = 0.1
QUERY_PER_SCANNED = 0.02
FEED_BASE = 1.0
METADATA = 1.0


def _size_factor(size_bytes: int) -> float:
    kilobytes = size_bytes / 1024
    return 1.0 if kilobytes <= 1 else 1 + (kilobytes - 1) / 11


def read_charge(size_bytes: int) -> float:
    return READ_1KB * _size_factor(size_bytes)


def create_charge(size_bytes: int) -> float:
    return CREATE_1KB * _size_factor(size_bytes)


def replace_charge(size_bytes: int) -> float:
    """Also an upsert that replaces, and a patch: delete of the old and insert of the new index terms."""
    return REPLACE_1KB * _size_factor(size_bytes)


def delete_charge(size_bytes: int) -> float:
    return DELETE_1KB * _size_factor(size_bytes)


def query_charge(returned: int, scanned: int, size_bytes: int) -> float:
    return QUERY_BASE + QUERY_PER_RESULT * returned + QUERY_PER_SCANNED * scanned + size_bytes / 1024 * 0.05


def feed_charge(returned: int, size_bytes: int) -> float:
    return FEED_BASE + QUERY_PER_RESULT * returned + size_bytes / 1024 * 0.1
