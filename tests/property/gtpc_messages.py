"""Messages of both versions as Hypothesis draws them: everything that a message of its kind can carry."""

import ipaddress
import struct
from typing import TypeVar

from hypothesis import strategies as st

from engine.signalling.messages import (
    GN_GGSN_C,
    GN_GGSN_U,
    GN_SGSN_C,
    GN_SGSN_U,
    S1U_ENODEB,
    S1U_SGW,
    S5_PGW_C,
    S5_PGW_U,
    S5_SGW_C,
    S5_SGW_U,
    S11_MME_C,
    S11_SGW_C,
    Bearer,
    Chap,
    Fteid,
    Kind,
    Message,
    Options,
    Pap,
)

T = TypeVar("T")

octet = st.integers(0, 255)
number32 = st.integers(0, 2**32 - 1)
teid = st.integers(1, 2**32 - 1)
ipv4 = st.integers(1, 2**32 - 1).map(lambda n: str(ipaddress.IPv4Address(n)))
# Above all that is written with dotted quads, on which programs differ.
ipv6 = st.integers(2**112, 2**128 - 1).map(lambda n: str(ipaddress.IPv6Address(n)))
prefix = st.integers(2**61, 2**64 - 1).map(lambda n: f"{ipaddress.IPv6Address(n << 64)}/64")
label = st.from_regex(r"[A-Za-z0-9_-]{1,63}", fullmatch=True)
apn = st.lists(label, min_size=1, max_size=4).map(".".join).filter(lambda name: len(name) < 100)
network = st.tuples(
    st.from_regex(r"[0-9]{3}", fullmatch=True), st.from_regex(r"[0-9]{2,3}", fullmatch=True)
)
short = st.binary(max_size=20)


def digits(least: int, most: int) -> st.SearchStrategy[str]:
    return st.text("0123456789", min_size=least, max_size=most)


def maybe(strategy: st.SearchStrategy[T]) -> st.SearchStrategy[T | None]:
    return st.none() | strategy


@st.composite
def fteids(draw: st.DrawFn, *interfaces: int) -> Fteid:
    four, six = draw(maybe(ipv4)), draw(maybe(ipv6))
    if four is None and six is None:
        four = draw(ipv4)
    return Fteid(draw(st.sampled_from(interfaces)), draw(teid), four, six)


@st.composite
def ipcp(draw: st.DrawFn) -> bytes:
    """A packet with any options."""
    kinds = st.tuples(octet, st.binary(max_size=6))
    rows = draw(st.lists(kinds, max_size=4))
    data = b"".join(bytes([kind, 2 + len(body)]) + body for kind, body in rows)
    return struct.pack("!BBH", draw(st.integers(2, 4)), draw(octet), 4 + len(data)) + data


@st.composite
def options(draw: st.DrawFn) -> Options:
    """The ids in the order in which they are written."""
    packet = draw(maybe(ipcp()))
    pap = draw(maybe(st.builds(Pap, short, short, octet)))
    chap = draw(maybe(st.builds(Chap, short, short, short, octet)))
    answer = draw(maybe(st.tuples(st.booleans(), octet, st.sampled_from([0xC023, 0xC223]))))
    wants4, wants6 = draw(st.booleans()), draw(st.booleans())
    dns = draw(st.lists(ipv4 | ipv6, max_size=3))
    ids = [0x8021] * (packet is not None) + [0xC023] * (pap is not None)
    if chap is not None:
        ids += [0xC223] * (2 if chap.challenge else 1)
    ids += [answer[2]] if answer is not None else []
    ids += [0x0003] * wants6 + [0x000D] * wants4
    ids += [0x0003 if ":" in server else 0x000D for server in dns]
    return Options(
        pap,
        chap,
        packet,
        wants4,
        wants6,
        tuple(dns),
        answer,
        tuple(ids),
    )


# One place of a bearer's F-TEID each, by kind.
PLACES2 = {
    Kind.CREATE_REQUEST: (S1U_ENODEB, S5_SGW_U, S5_PGW_U),
    Kind.CREATE_RESPONSE: (S1U_SGW, S5_PGW_U),
    Kind.MODIFY_REQUEST: (S1U_ENODEB, S5_SGW_U),
    Kind.MODIFY_RESPONSE: (S1U_SGW,),
    Kind.CREATE_BEARER_REQUEST: (S1U_SGW, S5_PGW_U),
    Kind.CREATE_BEARER_RESPONSE: (S1U_ENODEB, S1U_SGW, S5_SGW_U, S5_PGW_U),
}
BEARER_KINDS = [kind for kind in Kind if "bearer" in kind and "release" not in kind]
TFT = bytes.fromhex("21310005301150 01bb")


@st.composite
def bearers2(draw: st.DrawFn, kind: Kind) -> tuple[Bearer, ...]:
    found = []
    for identity in draw(st.lists(st.integers(1, 15), max_size=4, unique=True)):
        if kind is Kind.DELETE_BEARER_REQUEST and draw(st.booleans()):
            found.append(Bearer(identity, instance=1))
            continue
        places = PLACES2.get(kind, ())
        chosen = draw(st.lists(st.sampled_from(places), unique=True)) if places else []
        ends = tuple(draw(fteids(place)) for place in chosen)
        found.append(
            Bearer(
                identity,
                ends,
                draw(maybe(octet)),
                draw(maybe(octet)),
                0 if kind is Kind.DELETE_BEARER_REQUEST else draw(st.integers(0, 1)),
                draw(st.sampled_from([None, TFT])),
            )
        )
    return tuple(found)


@st.composite
def messages2(draw: st.DrawFn, piggyback: bool = True) -> Message:
    """Version 2. An answer to Create has its sender's F-TEID wherever it has another's."""
    kind = draw(st.sampled_from([kind for kind in Kind if kind is not Kind.OTHER]))
    sequence = draw(st.integers(0, 2**24 - 1))
    if kind in (Kind.ECHO_REQUEST, Kind.ECHO_RESPONSE, Kind.VERSION_NOT_SUPPORTED):
        return Message(2, kind, sequence, recovery=draw(maybe(octet)))
    bearers = draw(bearers2(kind))
    pdn_type = draw(st.sampled_from([None, 1, 2, 3]))
    cause = draw(maybe(octet))
    offending = draw(maybe(st.tuples(octet, st.integers(0, 15)))) if cause is not None else None
    control = draw(maybe(fteids(S5_SGW_C, S5_PGW_C, S11_MME_C, S11_SGW_C)))
    pgw = draw(maybe(fteids(S5_PGW_C))) if control is not None else None
    follows = piggyback and draw(st.integers(0, 9)) == 0
    return Message(
        2,
        kind,
        sequence,
        draw(number32),
        cause,
        draw(maybe(digits(6, 15))),
        draw(maybe(digits(1, 15))),
        draw(maybe(digits(14, 16))),
        draw(maybe(apn)),
        draw(maybe(octet)),
        draw(maybe(network)),
        pdn_type,
        draw(maybe(ipv4)) if pdn_type in (1, 3) else None,
        draw(maybe(prefix)) if pdn_type in (2, 3) else None,
        draw(maybe(options())),
        control,
        pgw,
        bearers,
        draw(maybe(st.integers(0, 15))),
        draw(maybe(octet)),
        draw(maybe(st.tuples(number32, number32))),
        draw(maybe(number32)) if bearers and bearers[0].instance == 0 else None,
        draw(maybe(st.integers(0, 3))),
        offending=offending,
        apn_restriction=draw(maybe(octet)),
        indication=draw(maybe(st.binary(min_size=1, max_size=9))),
        location=draw(maybe(st.binary(min_size=1, max_size=20))),
        piggybacked=draw(messages2(piggyback=False)) if follows else None,
    )


KINDS1 = [
    *(Kind.ECHO_REQUEST, Kind.ECHO_RESPONSE, Kind.VERSION_NOT_SUPPORTED, Kind.CREATE_REQUEST),
    *(Kind.CREATE_RESPONSE, Kind.MODIFY_REQUEST, Kind.MODIFY_RESPONSE, Kind.DELETE_REQUEST),
    Kind.DELETE_RESPONSE,
]


@st.composite
def messages1(draw: st.DrawFn) -> Message:
    """Version 1. Whose octets name no network, it is in one of a routing area of its own."""
    kind = draw(st.sampled_from(KINDS1))
    asks = kind.endswith("-request")
    user = draw(maybe(fteids(GN_SGSN_U if asks else GN_GGSN_U)))
    ends = (user,) if user is not None else ()
    has_bearer = user is not None or draw(st.booleans())
    tft = draw(st.sampled_from([None, TFT])) if has_bearer else None
    bearers = (Bearer(draw(st.integers(0, 15)), ends, tft=tft),) if has_bearer else ()
    pdn_type = draw(st.sampled_from([None, 1, 2, 3]))
    return Message(
        1,
        kind,
        draw(st.integers(0, 2**16 - 1)),
        draw(number32),
        draw(maybe(octet)),
        draw(maybe(digits(6, 15))),
        draw(maybe(digits(1, 15))),
        draw(maybe(digits(14, 16))),
        draw(maybe(apn)),
        draw(maybe(octet)),
        draw(network),
        pdn_type,
        draw(maybe(ipv4)) if pdn_type in (1, 3) else None,
        draw(maybe(prefix)) if pdn_type in (2, 3) else None,
        draw(maybe(options())),
        draw(maybe(fteids(GN_SGSN_C if asks else GN_GGSN_C))),
        None,
        bearers,
        draw(maybe(st.integers(0, 15))) if has_bearer else None,
        draw(maybe(octet)),
        charging_id=draw(maybe(number32)),
        selection_mode=draw(maybe(st.integers(0, 3))),
        teardown=draw(st.booleans()),
        apn_restriction=draw(maybe(octet)),
        location=draw(maybe(st.binary(min_size=1, max_size=20))),
        qos=draw(st.binary(min_size=1, max_size=20)),
    )
