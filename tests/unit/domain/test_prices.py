from shared.domain.prices import Price, PriceBook

BOOK = PriceBook(
    [
        Price("sms", 10, provider="alpha", country="49"),
        Price("sms", 20, provider="alpha"),
        Price("sms", 30, country="44"),
        Price("sms", 40),
    ]
)


def test_most_specific_line_is_the_price() -> None:
    assert BOOK.price_of("alpha", "sms", "49") == 10
    assert BOOK.price_of("alpha", "sms", "44") == 20
    assert BOOK.price_of("beta", "sms", "44") == 30
    assert BOOK.price_of("beta", "sms", "49") == 40
    assert BOOK.price_of("beta", "sms") == 40


def test_price_is_for_all_units() -> None:
    assert BOOK.price_of("alpha", "sms", "49", units=3) == 30


def test_channel_that_is_not_in_the_book_costs_nothing() -> None:
    assert BOOK.price_of("alpha", "webhook") == 0
