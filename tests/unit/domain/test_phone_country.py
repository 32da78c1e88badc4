import pytest

from shared.domain.phone_country import country_of, is_country


@pytest.mark.parametrize(
    ("number", "country"),
    [
        ("+4915112345678", "49"),
        ("+12025550123", "1"),
        ("+14165550123", "1"),
        ("+18765550123", "1876"),
        ("+16585550123", "1876"),
        ("+18495550123", "1809"),
        ("+79161234567", "7"),
        ("+77011234567", "77"),
        ("+76001234567", "77"),
        ("+35312345678", "353"),
        ("+35921234567", "359"),
        ("+994501234567", "994"),
        ("+881612345678", "881"),
        ("+979123456789", "979"),
    ],
)
def test_country_is_the_longest_calling_code(number: str, country: str) -> None:
    assert country_of(number) == country
    assert is_country(country)


@pytest.mark.parametrize("number", ["+2101234567", "+9991234567", "+", "+3841234567"])
def test_number_without_an_assigned_code_is_in_no_country(number: str) -> None:
    assert country_of(number) is None


@pytest.mark.parametrize("code", ["", "+49", "4", "1658", "76", "4915"])
def test_what_names_no_country_is_no_country(code: str) -> None:
    assert not is_country(code)
