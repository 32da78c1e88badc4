"""Effective partition keys equal the SDK's, so feed ranges and bulk reads are routed alike."""

from azure.cosmos import PartitionKey
from hypothesis import given, settings
from hypothesis import strategies as st

from local_azure.cosmos.epk import effective_partition_key
from local_azure.cosmos.ranges import make_ranges, range_index

components = st.one_of(
    st.text(max_size=120).filter(lambda text: text.isprintable()),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
)


@settings(max_examples=300, deadline=None)
@given(components)
def test_a_single_key_hashes_as_in_the_sdk(value):
    sdk = PartitionKey("/pk")._get_effective_partition_key_string([value])

    assert effective_partition_key((value,), hierarchical=False) == sdk


@settings(max_examples=200, deadline=None)
@given(st.lists(components, min_size=1, max_size=3))
def test_a_hierarchical_key_hashes_as_in_the_sdk(values):
    sdk = PartitionKey(["/a", "/b", "/c"], kind="MultiHash")._get_effective_partition_key_string(values)

    assert effective_partition_key(tuple(values), hierarchical=True) == sdk


@settings(max_examples=200, deadline=None)
@given(components, st.integers(1, 9))
def test_every_key_lies_in_exactly_one_range(value, count):
    epk = effective_partition_key((value,), hierarchical=False)
    ranges = make_ranges(count)

    inside = [part for part in ranges if part.low <= epk < part.high]

    assert inside == [ranges[range_index(ranges, epk)]]
    assert (ranges[0].low, ranges[-1].high) == ("", "FF")
