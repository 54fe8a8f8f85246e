"""What tshark says of a GTP-C message, column by column, held against what was read of it."""

import ipaddress
from collections import Counter

from engine.signalling.gtpv1_write import TYPES as TYPES1
from engine.signalling.gtpv2_write import TYPES as TYPES2
from engine.signalling.messages import Fteid, Message

Row = dict[str, str]
"""columns of a `.gtpc.tsv`: values of a field joined by commas"""


def of(row: Row, name: str) -> list[str]:
    return [value for value in (row[name] or "").split(",") if value]


def numbers(row: Row, name: str) -> list[int]:
    return [int(value, 0) for value in of(row, name)]


def texts(*values: object) -> list[str]:
    return [str(value) for value in values if value is not None]


def ends(message: Message) -> list[Fteid]:
    """All F-TEIDs of a message."""
    own = [end for end in (message.control, message.pgw) if end is not None]
    return own + [end for bearer in message.bearers for end in bearer.fteids]


def prefixes(addresses: set[str]) -> list[str]:
    """The /64 of each."""
    return [str(ipaddress.ip_network((one, 64), strict=False)) for one in addresses]


def check_shared(message: Message, row: Row) -> None:
    """What both versions have."""
    assert of(row, "e212.imsi")[:1] == texts(message.imsi)
    assert of(row, "e164.msisdn")[:1] == texts(message.msisdn)
    options = message.options
    protocols = options.protocols if options is not None else ()
    assert tuple(numbers(row, "gsm_a.gm.sm.pco_pid")) == protocols
    pap = options.pap if options is not None else None
    assert of(row, "pap.peer_id") == texts(pap.user.decode() if pap is not None else None)
    chap = options.chap if options is not None else None
    assert ("2" in of(row, "chap.code")) == (chap is not None)


def check(message: Message, row: Row) -> None:
    """AssertionError where a column is not what was read."""
    (check2 if message.version == 2 else check1)(message, row)


def check2(message: Message, row: Row) -> None:
    """A message of version 2."""
    check_shared(message, row)
    assert [TYPES2.get(message.kind, message.message_type)] == numbers(row, "gtpv2.message_type")
    assert texts(message.teid) == [str(n) for n in numbers(row, "gtpv2.teid")]
    assert [message.sequence] == numbers(row, "gtpv2.seq")
    causes = [message.cause, *(bearer.cause for bearer in message.bearers)]
    assert [c for c in causes if c is not None] == numbers(row, "gtpv2.cause")
    assert texts(message.apn) == of(row, "gtpv2.apn")
    assert texts(message.rat) == of(row, "gtpv2.rat_type")
    assert texts(message.pdn_type) == of(row, "gtpv2.pdn_type")[:1]
    given = set(of(row, "gtpv2.pdn_addr_and_prefix.ipv4")) - {"0.0.0.0"}
    assert given == set(texts(message.address4))
    given = set(of(row, "gtpv2.pdn_addr_and_prefix.ipv6")) - {"::"}
    assert prefixes(given) == texts(message.address6)
    found = ends(message)
    with_address = Counter(zip(*_types(row), strict=True))
    assert Counter((end.interface, end.teid) for end in found) <= with_address
    assert Counter(texts(*(end.ipv4 for end in found))) == Counter(of(row, "gtpv2.f_teid_ipv4"))
    assert Counter(texts(*(end.ipv6 for end in found))) == Counter(of(row, "gtpv2.f_teid_ipv6"))
    told = {bearer.bearer_id for bearer in message.bearers} | {message.linked_bearer}
    assert {n for n in told if n is not None} == set(numbers(row, "gtpv2.ebi"))


def _types(row: Row) -> tuple[list[int], list[int]]:
    return numbers(row, "gtpv2.f_teid_interface_type"), numbers(row, "gtpv2.f_teid_gre_key")


def check1(message: Message, row: Row) -> None:
    """A message of version 1."""
    assert [TYPES1.get(message.kind, message.message_type)] == numbers(row, "gtp.message")
    assert texts(message.teid) == [str(n) for n in numbers(row, "gtp.teid")]
    assert [message.sequence] == numbers(row, "gtp.seq_number")
    if message.kind == "other":
        return
    check_shared(message, row)
    assert texts(message.cause) == of(row, "gtp.cause")
    assert texts(message.apn) == of(row, "gtp.apn")
    assert texts(message.address4) == of(row, "gtp.user_ipv4")
    assert texts(message.address6) == prefixes(set(of(row, "gtp.user_ipv6")) - {"::"})
    users = [end for bearer in message.bearers for end in bearer.fteids]
    assert [end.teid for end in users] == numbers(row, "gtp.teid_data")
    controls = [] if message.control is None else [message.control]
    assert [end.teid for end in controls] == numbers(row, "gtp.teid_cp")
    four = {end.ipv4 for end in controls + users if end.ipv4 is not None}
    assert four == set(of(row, "gtp.gsn_ipv4"))
    if row["gtp.nsapi"]:
        nsapis = [*(bearer.bearer_id for bearer in message.bearers), message.linked_bearer]
        assert [n for n in nsapis if n is not None] == numbers(row, "gtp.nsapi")
