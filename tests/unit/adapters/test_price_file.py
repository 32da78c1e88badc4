import json
from pathlib import Path

import pytest

from shared.adapters.price_file import BUILT_IN, CERTAINTIES, read_prices
from shared.channels import CHANNELS

LINE = {"channel": "sms", "micros": 5, "certainty": "placeholder", "source": "a guess"}


def test_built_in_book_knows_what_an_sms_to_the_united_states_costs() -> None:
    book = read_prices()

    assert book.currency == "USD"
    assert book.price_of("twilio", "sms", "1", units=2) == 2 * 12_600


def test_built_in_book_has_a_price_for_every_channel_that_is_charged_for() -> None:
    book = read_prices()

    assert {name for name in CHANNELS if book.price_of("unheard of", name) == 0} <= {"webhook", "slack"}


def test_every_built_in_price_says_how_certain_it_is() -> None:
    document = json.loads(BUILT_IN.read_text("utf-8"))

    assert document["certainty"].keys() == CERTAINTIES
    assert all(line["certainty"] in CERTAINTIES and line["source"] for line in document["prices"])


def book_file(folder: Path, text: str) -> Path:
    file = folder / "prices.json"
    file.write_text(text)
    return file


def test_file_of_ones_own_is_read(tmp_path: Path) -> None:
    file = book_file(tmp_path, json.dumps({"currency": "EUR", "prices": [LINE | {"country": "49"}]}))

    assert read_prices(file).price_of("any", "sms", "49") == 5
    assert read_prices(file).currency == "EUR"


@pytest.mark.parametrize(
    "change",
    [{"micros": 1.5}, {"micros": -1}, {"country": "4915"}, {"certainty": "sure"}, {"source": ""}, {"channel": None}],
)
def test_malformed_line_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    line = {name: value for name, value in (LINE | change).items() if value is not None}
    file = book_file(tmp_path, json.dumps({"currency": "EUR", "prices": [line]}))

    with pytest.raises(ValueError, match="price file"):
        read_prices(file)


@pytest.mark.parametrize("text", ["", "[]", '{"prices": []}'])
def test_file_that_is_no_book_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match=r"price file|JSON|Expecting"):
        read_prices(book_file(tmp_path, text))


def test_missing_file_is_refused_with_a_name_for_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="price file"):
        read_prices(tmp_path / "none.json")
