from base64 import b64decode, b64encode

import pytest

from shared.adapters.secret_box import SecretBox

KEY = b64encode(b"k" * 32).decode()
OTHER = b64encode(b"o" * 32).decode()


@pytest.mark.parametrize("text", ["", "whsec_abc", "ü" * 1000])
def test_what_is_sealed_opens_in_its_place(text: str) -> None:
    box = SecretBox(KEY)

    assert box.open(box.seal(text, "ep1"), "ep1") == text


def test_the_same_text_is_sealed_differently_each_time_and_does_not_show() -> None:
    box = SecretBox(KEY)
    sealed = {box.seal("whsec_abc", "ep1") for _ in range(50)}

    assert len(sealed) == 50
    assert all(b"whsec" not in b64decode(each) for each in sealed)


def test_another_key_and_another_place_do_not_open_it() -> None:
    sealed = SecretBox(KEY).seal("whsec_abc", "ep1")

    with pytest.raises(ValueError, match="does not open"):
        SecretBox(OTHER).open(sealed, "ep1")
    with pytest.raises(ValueError, match="does not open"):
        SecretBox(KEY).open(sealed, "ep2")


def test_a_single_changed_bit_is_noticed() -> None:
    box = SecretBox(KEY)
    raw = bytearray(b64decode(box.seal("whsec_abc", "ep1")))

    for index in range(len(raw)):
        changed = bytes(raw[:index] + bytes([raw[index] ^ 1]) + raw[index + 1 :])
        with pytest.raises(ValueError, match="does not open"):
            box.open(b64encode(changed).decode(), "ep1")


@pytest.mark.parametrize("key", ["", "short", b64encode(b"k" * 16).decode(), b64encode(b"k" * 33).decode(), "!" * 44])
def test_a_key_of_another_size_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        SecretBox(key)

    assert key == "" or key not in str(refused.value)
