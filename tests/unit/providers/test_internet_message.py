import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.identifiers import AttemptId, AttemptRef
from shared.providers.internet_message import attempt_of, message_id

TRACKING = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
_ID_LEFT = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+")


@given(tenant=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40))
def test_leads_back_to_the_attempt_whatever_the_tenant_is_called(tenant):
    attempt_id = AttemptId(f"{tenant}.{TRACKING}.email.1")

    spelt = message_id(attempt_id, "example.com")

    assert attempt_of(spelt) == AttemptRef.parse(attempt_id)
    assert _ID_LEFT.fullmatch(spelt[1:].partition("@")[0])


@pytest.mark.parametrize(
    "header", [None, 7, "", "<>", "<x@y>", f"<{TRACKING}@y>", "<178718194781.13391.112@apex.localhost>"]
)
def test_anybody_elses_is_none(header):
    assert attempt_of(header) is None
