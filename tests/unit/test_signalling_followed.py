"""Messages read for those who only follow sessions: what says nothing of these is not read."""

from dataclasses import fields, replace

import pytest

from engine.signalling.codec import NOT_FOLLOWED, decode
from engine.signalling.messages import Bearer, Message
from tests.support.gtpc import create1, create2, ie1, ie2


def without(message: Message) -> Message:
    """The message as it is where fields were skipped: those are as if they had never been said."""
    said = {field.name: field.default for field in fields(Message) if field.name in NOT_FOLLOWED}
    bearers = tuple(replace(bearer, qci=None, tft=None) for bearer in message.bearers)
    return replace(message, **said, bearers=bearers)


IMEI = bytes.fromhex("1032547698103254")


@pytest.mark.parametrize("data", [create2(more=ie2(75, IMEI)), create1(more=ie1(154, IMEI))])
def test_what_is_not_followed_is_not_read_and_all_else_is(data: bytes) -> None:
    """N4, N6: who, with which ends, addresses, APN and RAT type; of version 2 and of version 1"""
    whole = decode(data)
    found = decode(data, strict=False, skip=NOT_FOLLOWED)
    assert found == without(whole)
    assert (whole.imei, found.imei) == ("0123456789012345", None)
    assert None not in (found.imsi, found.control, found.apn)
    assert found.bearers[0].fteids


def test_the_names_of_what_is_not_followed_are_fields() -> None:
    """a name that is none would skip nothing"""
    known = {field.name for kind in (Message, Bearer) for field in fields(kind)}
    assert known >= NOT_FOLLOWED
