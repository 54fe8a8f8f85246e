"""Strict msgpack: everything that is not a plain value of a sensible size is refused."""

import tracemalloc

import msgpack
import pytest

from engine.errors import UsageError
from engine.service import packing

NESTED_16 = [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        packing.INT_MIN,
        packing.INT_MAX,
        "",
        "携帯",
        b"\x00\xff",
        [],
        {"a": [1, {"b": None}]},
        NESTED_16,
    ],
)
def test_plain_values_come_back_as_they_were(value: packing.Value) -> None:
    assert packing.unpack(packing.pack(value)) == value


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"\xc1", "not a msgpack", id="B64"),
        pytest.param(b"\xdd\x7f\xff\xff\xff", "max_array_len", id="B65"),
        pytest.param(b"\x91" * 100_000, "not a msgpack", id="B66"),
        pytest.param(b"\x91" * 600 + b"\x01", "nested deeper", id="B66-less"),
        pytest.param(b"\x91" * 17 + b"\x01", "nested deeper", id="B66-just"),
        pytest.param(b"\xdd\x00\x0f\x42\x40" * 600, "max_array_len", id="B67"),
        pytest.param(b"\xdb\xff\xff\xff\xff", "not a msgpack", id="B68"),
        pytest.param(b"\xdb\x00\x00\x10\x01" + b"a" * 4_097, "max_str_len", id="B68-long"),
        pytest.param(b"\xc6\x00\x00\x10\x01" + b"a" * 4_097, "max_bin_len", id="B68-bytes"),
        pytest.param(b"\xde\x01\x01", "max_map_len", id="B65-map"),
        pytest.param(b"\xc7\x00\x05", "ExtType", id="B69-empty-ext"),
        pytest.param(b"\xd6\x05\x00\x00\x00\x00", "max_ext_len", id="B69-ext"),
        pytest.param(b"\xd6\xff\x00\x00\x00\x00", "max_ext_len", id="B69-timestamp"),
        pytest.param(msgpack.packb(float("nan")), "float", id="B69-nan"),
        pytest.param(msgpack.packb({"a": 1.5}), "float", id="B69-float"),
        pytest.param(msgpack.packb(1 << 63), "64 bits", id="B69-2^63"),
        pytest.param(msgpack.packb([(1 << 64) - 1]), "64 bits", id="B69-2^64-1"),
        pytest.param(b"\x82\xa1a\x01\xa1a\x01", "twice", id="B69-duplicate-key"),
        pytest.param(msgpack.packb({1: 2}), "map key", id="B69-int-key"),
        pytest.param(msgpack.packb({b"a": 2}), "must be a string", id="B69-bytes-key"),
        pytest.param(b"\x81\x90\x01", "map key", id="B69-array-key"),
        pytest.param(b"\xa1\xff", "utf-8", id="B69-invalid-utf8"),
        pytest.param(b"\x01\x02", "extra data", id="B69-trailing"),
        pytest.param(b"", "not a msgpack", id="B69-empty"),
        pytest.param(b"\x00" * (packing.MESSAGE_BYTES_MAX + 1), "more than", id="B70-size"),
    ],
)
def test_bad_messages_are_refused_in_words(data: bytes, words: str) -> None:
    """B64, B65, B66, B67, B68, B69"""
    with pytest.raises(UsageError) as caught:
        packing.unpack(data)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_claimed_sizes_are_not_allocated() -> None:
    """B67: 600 arrays that each claim a million items cost next to nothing."""
    tracemalloc.start()
    try:
        with pytest.raises(UsageError):
            packing.unpack(b"\xdd\x00\x0f\x42\x40" * 600)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_an_answer_may_be_larger_than_a_request() -> None:
    value = {"sims": list(range(packing.ARRAY_ITEMS_MAX + 1)), "text": "a" * 2_000_000}
    assert packing.unpack(packing.pack(value), trusted=True) == value
    with pytest.raises(UsageError):
        packing.unpack(packing.pack(value))
