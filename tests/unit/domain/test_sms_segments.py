import pytest

from shared.domain.sms_segments import segments_of


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("a" * 152 + "€" + "a" * 7, 2),  # 161 units, and the euro sign does not fit the first segment's last unit
        ("ж" * 70, 1),
        ("ж" * 71, 2),
        ("ж" * 134, 2),
        ("ж" * 135, 3),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
        ("😀" * 67, 3),  # 33 in a segment of 67 units, since a pair is not split
    ],
)
def test_text_is_charged_by_segments(text: str, segments: int) -> None:
    assert segments_of(text) == segments
