"""GTP-C there and back, and through any octets: a message or its refusal, never anything else."""

import contextlib
from dataclasses import replace

from hypothesis import example, given
from hypothesis import strategies as st

from engine.errors import SignallingError
from engine.signalling.causes import NUMBERS
from engine.signalling.codec import decode, encode
from engine.signalling.messages import Message
from tests.property.gtpc_messages import messages1, messages2
from tests.support.signalling import EVERY

REASONS = {
    *("short", "version", "proto", "len", "piggyback", "ie_len", "ie_count", "ie_depth"),
    *("ext_len", "ext_count", "noseq", "noteid", "ext_required", "ie_type", "ie_value"),
    *("ie_missing", "pdn_type"),
}
CAUSES = {0} | {value for pair in NUMBERS.values() for value in pair}
SAMPLES = [encode(message) for message in EVERY]


def test_every_sample_is_read_as_it_was_written() -> None:
    for message in EVERY:
        assert decode(encode(message)) == message
        assert decode(encode(message), strict=False) == message


@given(messages2())
def test_version_2_is_read_as_it_was_written(message: Message) -> None:
    assert decode(encode(message), strict=False) == message


@given(messages1())
def test_version_1_is_read_as_it_was_written(message: Message) -> None:
    assert decode(encode(message), strict=False) == message


@given(messages2() | messages1())
def test_what_is_read_strictly_is_what_is_read_at_all(message: Message) -> None:
    data = encode(message)
    with contextlib.suppress(SignallingError):
        assert decode(data) == decode(data, strict=False)


def known(error: SignallingError) -> None:
    assert error.reason in REASONS
    assert error.cause in CAUSES
    assert 0 <= error.message_type < 256
    assert error.exit_status > 0
    assert str(error).isprintable()


def any_answer(data: bytes) -> None:
    """A message, or a refusal whose words the gateway knows; what is strict refuses more, never less."""
    taken = []
    for strict in (True, False):
        try:
            message = decode(data, strict)
        except SignallingError as error:
            known(error)
        else:
            taken.append(strict)
            assert message.version in (1, 2)
            assert len(message.bearers) <= 15
    assert taken in ([], [False], [True, False])


@given(st.binary(max_size=200))
@example(b"\x48\x20\xff\xff" + bytes(9))
@example(b"\x32\x10\xff\xff" + bytes(9))
@example(b"\x50\x01\x00\x04" + bytes(4))
def test_any_octets_are_a_message_or_refused(data: bytes) -> None:
    """B01, B02, B47, B50"""
    any_answer(data)


@given(st.sampled_from([0x40, 0x48, 0x50, 0x58, 0x30, 0x32, 0x36, 0x34]), st.binary(max_size=300))
def test_any_octets_behind_a_header_that_fits_are_a_message_or_refused(
    flags: int, rest: bytes
) -> None:
    """B50"""
    for kind in (16, 17, 32, 33, 95, 99):
        less = 4 if flags & 0x30 == 0x30 else 0
        size = max(0, len(rest) - less)
        any_answer(bytes([flags, kind]) + size.to_bytes(2, "big") + rest)


@given(
    st.sampled_from(SAMPLES),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=4),
    st.integers(0, 40),
)
def test_a_message_with_changed_octets_is_a_message_or_refused(
    data: bytes, changes: list[tuple[int, int]], cut: int
) -> None:
    """B41-B50: real lengths beside wrong ones; half of them cut as well."""
    changed = bytearray(data)
    for at, value in changes:
        changed[at % len(data)] = value
    any_answer(bytes(changed))
    any_answer(bytes(changed[: max(0, len(changed) - cut)]))


def test_every_octet_of_every_sample_set_to_the_worst_values() -> None:
    """B41-B50: lengths of 0, of one too many, of 255."""
    for data in SAMPLES:
        for at in range(len(data)):
            for value in (0, 0xFF, data[at] + 1 & 0xFF):
                any_answer(data[:at] + bytes([value]) + data[at + 1 :])


def test_a_difference_in_any_field_is_seen() -> None:
    """The round trip itself: what is written of two different messages differs."""
    first = EVERY[3]
    others = [
        replace(first, imsi="440101234567891"),
        replace(first, rat=1),
        replace(first, apn="iijmio.jq"),
        replace(first, teid=1),
    ]
    assert all(decode(encode(other)) != first for other in others)
