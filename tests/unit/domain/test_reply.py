import pytest

from shared.domain.identifiers import TenantId
from shared.domain.reply import Keyword, ReplyRules, keyword_of, number_of, read_sender_tenants


@pytest.mark.parametrize(
    "text",
    [
        *(
            "STOP",
            "stop",
            " Stop! ",
            "S T O P",
            "stop.",
            "«STOP»",
            "Stop all",
            "opt-out",
            "UNSUBSCRIBE",
            "cancel",
            "End",
        ),
        *("quit", "Stopp", "abmelden", "Arrêt", "ARRÊTER", "désabonner", "baja", "\uff33\uff34\uff2f\uff30"),
        *("Stop sending me this", "abmelden bitte", "STOP 12345"),
    ],
)
def test_a_no_is_heard(text: str):
    assert keyword_of(text) is Keyword.STOP


@pytest.mark.parametrize(
    ("text", "keyword"),
    [
        *(("start", Keyword.START), ("Unstop", Keyword.START), ("YES", Keyword.START), ("sí", Keyword.START)),
        *(("ja", Keyword.START), ("help?", Keyword.HELP), ("INFO", Keyword.HELP), ("Hilfe", Keyword.HELP)),
        *(("aide", Keyword.HELP), ("ayuda", Keyword.HELP)),
        *(("", None), ("👍", None), ("when will it end", None), ("cancel my order 12", None), ("yes please", None)),
        *(("don't stop", None), ("стоп", None), ("x" * 10_000, None)),
    ],
)
def test_what_else_is_meant(text: str, keyword: Keyword | None):
    assert keyword_of(text) is keyword


def test_numbers_of_customers():
    assert [number_of(text) for text in ("12345", "Acme", "", "+0123456789")] == [None] * 4
    number = number_of("15551234567")
    assert number is not None
    assert number.e164 == "+15551234567"


def test_whose_number_it_is():
    rules = ReplyRules(read_sender_tenants("+49301=shop, +49302=shop|bank *=rest"))

    assert rules.tenants_of("+49301") == ("shop",)
    assert rules.tenants_of("+49302") == ("shop", "bank")
    assert rules.tenants_of("+1") == (TenantId("rest"),)
    assert ReplyRules().tenants_of("+1") == ()


@pytest.mark.parametrize("text", ["+49301", "=shop", "+49301=", "+49301=|"])
def test_a_malformed_list_is_refused(text: str):
    with pytest.raises(ValueError, match="number=tenant"):
        read_sender_tenants(text)
