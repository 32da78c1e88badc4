"""Segment counts at the borders of both encodings."""

from __future__ import annotations

import pytest

from local_azure.provider_sandbox.sms_segments import Segmentation, segment


@pytest.mark.parametrize(
    ("body", "encoding", "segments", "units"),
    [
        ("", "GSM-7", 1, 0),
        ("a" * 160, "GSM-7", 1, 160),
        ("a" * 161, "GSM-7", 2, 161),
        ("a" * 306, "GSM-7", 2, 306),
        ("a" * 307, "GSM-7", 3, 307),
        ("€" * 80, "GSM-7", 1, 160),
        ("€" * 81, "GSM-7", 2, 162),
        ("a" * 152 + "€" + "a" * 152, "GSM-7", 3, 306),  # the pair does not fit into the first segment's last place
        ("äöüÄÖÜß@£", "GSM-7", 1, 9),
        ("ç", "UCS-2", 1, 1),
        ("ж" * 70, "UCS-2", 1, 70),
        ("ж" * 71, "UCS-2", 2, 71),
        ("😀" * 35, "UCS-2", 1, 70),
        ("😀" * 36, "UCS-2", 2, 72),
        ("😀" * 66 + "ж" * 2, "UCS-2", 3, 134),  # 33 pairs a segment: the 67th unit stays empty
    ],
)
def test_segments(body, encoding, segments, units):
    assert segment(body) == Segmentation(encoding, segments, units)
