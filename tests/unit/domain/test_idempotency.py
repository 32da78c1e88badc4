import re

from shared.domain.idempotency import digest_of, key_id


def test_any_key_makes_a_legal_document_id_that_does_not_show_it() -> None:
    for key in ("order-1", "a/b?c#d\\e", "x" * 255, " "):
        assert re.fullmatch(r"key-[0-9a-f]{64}", key_id(key))
        assert key == " " or key not in key_id(key)


def test_keys_and_bodies_are_told_apart_byte_by_byte() -> None:
    assert key_id("a") == key_id("a") != key_id("A")
    assert digest_of(b'{"a":1}') != digest_of(b'{"a": 1}')
