import base64

import pytest

from shared.adapters.data_key import DataKey
from shared.contracts.sealing import context_of

KEY = DataKey("w1", bytes(range(32)))
HERE = context_of("shop", "cust-1", "personal", "01ABC")


def test_what_is_sealed_opens_where_it_was_sealed_for() -> None:
    sealed = KEY.seal(b"ada@example.com", HERE)

    assert KEY.open(sealed, HERE) == b"ada@example.com"
    assert "ada" not in sealed
    assert b"ada" not in base64.b64decode(sealed)


@pytest.mark.parametrize(
    "place",
    [
        context_of("bank", "cust-1", "personal", "01ABC"),
        context_of("shop", "cust-2", "personal", "01ABC"),
        context_of("shop", None, "personal", "01ABC"),
        context_of("shop", "cust-1", "addresses", "01ABC"),
        context_of("shop", "cust-1", "personal", "01ABD"),
    ],
)
def test_what_is_sealed_opens_nowhere_else(place: str) -> None:
    sealed = KEY.seal(b"secret", HERE)

    with pytest.raises(ValueError, match="does not open"):
        KEY.open(sealed, place)


def test_every_bit_is_authenticated() -> None:
    raw = base64.b64decode(KEY.seal(b"x", HERE))

    for index in range(len(raw)):
        changed = raw[:index] + bytes([raw[index] ^ 1]) + raw[index + 1 :]
        with pytest.raises(ValueError, match="does not open"):
            KEY.open(base64.b64encode(changed).decode(), HERE)


@pytest.mark.parametrize("sealed", ["", "AAAA", "?", base64.b64encode(bytes(28)).decode()])
def test_what_is_no_sealed_text_does_not_open(sealed: str) -> None:
    with pytest.raises(ValueError, match="does not open"):
        KEY.open(sealed, HERE)


def test_another_key_does_not_open_it_and_the_same_text_is_never_sealed_alike() -> None:
    other = DataKey("w2", bytes(32))

    with pytest.raises(ValueError, match="does not open"):
        other.open(KEY.seal(b"secret", HERE), HERE)
    assert KEY.seal(b"secret", HERE) != KEY.seal(b"secret", HERE)


def test_a_key_has_32_bytes_and_does_not_show_them() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        DataKey("w1", bytes(16))
    assert repr(KEY) == "DataKey('w1')"
