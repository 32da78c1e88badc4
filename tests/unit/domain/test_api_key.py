import string
from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.address import Devices, DeviceToken, EmailAddress, PhoneNumber, WebhookUrl
from shared.domain.api_key import ApiKey, KeyDigest, KeyKind, digest_of, id_in, new_key, recipient_mark, texts_of
from shared.domain.identifiers import TenantId

NOW = datetime(2026, 11, 25, tzinfo=UTC)


def _key(secret: str, **changes: object) -> ApiKey:
    facts: dict[str, object] = {
        "id": id_in(secret), "tenant_id": TenantId("shop"), "kind": KeyKind.LIVE, "name": "n", "roles": frozenset(),
        "digests": (KeyDigest(digest_of(secret)),), "created_at": NOW, "created_by": "a",
        "expires_at": NOW + timedelta(days=1),
    }  # fmt: skip
    return ApiKey(**(facts | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KeyKind)
def test_a_key_says_its_kind_and_id_and_has_190_random_bits(kind: KeyKind) -> None:
    made = [new_key(kind) for _ in range(50)]

    assert all(key.startswith(f"cns_{kind.value}_") and id_in(key) == key_id for key_id, key in made)
    assert len({key for _, key in made}) == len({key_id for key_id, _ in made}) == 50
    assert all(len(key) == len("cns_live_") + 50 for _, key in made)


def test_any_one_mistyped_letter_shows_without_asking_anybody() -> None:
    _, key = new_key(KeyKind.LIVE)

    for place in range(len("cns_live_"), len(key)):
        for letter in string.ascii_letters + string.digits:
            typed = key[:place] + letter + key[place + 1 :]
            assert (id_in(typed) is not None) == (typed == key)


@pytest.mark.parametrize(
    "text", ["", "cns_", "cns_live_", "cns_prod_" + "a" * 50, "cns_live_" + "a" * 50, "cns_live_" + "é" * 50]
)
def test_what_is_no_key_has_no_id(text: str) -> None:
    assert id_in(text) is None


def test_the_kind_can_not_be_changed() -> None:
    _, key = new_key(KeyKind.TEST)

    assert id_in(key.replace("test", "live")) is None


def test_only_its_own_secret_opens_a_key() -> None:
    key_id, secret = new_key(KeyKind.LIVE)
    _, other = new_key(KeyKind.LIVE, key_id)

    assert _key(secret).admits(secret, NOW)
    assert not _key(secret).admits(other, NOW)
    assert not _key(secret).admits(digest_of(secret), NOW)


def test_a_key_ends_when_it_expires_or_is_revoked() -> None:
    _, secret = new_key(KeyKind.LIVE)

    assert not _key(secret).admits(secret, NOW + timedelta(days=1))
    assert not _key(secret, revoked_at=NOW).admits(secret, NOW)


def test_of_a_rotated_key_the_secret_before_is_valid_for_the_overlap_and_older_ones_are_not() -> None:
    key_id, first = new_key(KeyKind.LIVE)
    second, third = new_key(KeyKind.LIVE, key_id)[1], new_key(KeyKind.LIVE, key_id)[1]
    until = NOW + timedelta(hours=1)

    once = _key(first).rotated(digest_of(second), until)
    twice = once.rotated(digest_of(third), until)

    assert once.admits(second, NOW)
    assert once.admits(first, NOW)
    assert not once.admits(first, until)
    assert once.admits(second, until)
    assert [twice.admits(secret, NOW) for secret in (first, second, third)] == [False, True, True]


def test_neither_secrets_nor_their_hashes_show() -> None:
    _, secret = new_key(KeyKind.LIVE)

    assert digest_of(secret) not in repr(_key(secret))


def test_a_recipient_is_known_by_mark_within_its_tenant_only() -> None:
    mark = recipient_mark(b"s", "shop", "Ada@Example.com")

    assert mark == recipient_mark(b"s", "shop", "ada@example.com")
    assert mark not in {
        recipient_mark(b"s", "bank", "ada@example.com"),
        recipient_mark(b"t", "shop", "ada@example.com"),
    }


@pytest.mark.parametrize(
    ("address", "texts"),
    [
        (EmailAddress("a@b.c"), {"a@b.c"}),
        (PhoneNumber("+491511"), {"+491511"}),
        (WebhookUrl("https://x"), {"https://x"}),
        (Devices((DeviceToken("fcm", "t1"), DeviceToken("apns", "t2"))), {"t1", "t2"}),
    ],
)
def test_all_that_reaches_somebody_is_in_an_addresss_texts(address: object, texts: set[str]) -> None:
    assert set(texts_of(address)) == texts  # type: ignore[arg-type]
