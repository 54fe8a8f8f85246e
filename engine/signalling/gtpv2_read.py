"""GTPv2-C (TS 29.274): octets to `Message`."""

from collections.abc import Container
from typing import Any, NamedTuple

from engine.errors import SignallingError
from engine.signalling import elements, options
from engine.signalling.causes import located
from engine.signalling.messages import (
    PDN_IPV4,
    PDN_IPV4V6,
    PDN_IPV6,
    Bearer,
    Fteid,
    Kind,
    Message,
)

KINDS = {
    1: Kind.ECHO_REQUEST,
    2: Kind.ECHO_RESPONSE,
    3: Kind.VERSION_NOT_SUPPORTED,
    32: Kind.CREATE_REQUEST,
    33: Kind.CREATE_RESPONSE,
    34: Kind.MODIFY_REQUEST,
    35: Kind.MODIFY_RESPONSE,
    36: Kind.DELETE_REQUEST,
    37: Kind.DELETE_RESPONSE,
    95: Kind.CREATE_BEARER_REQUEST,
    96: Kind.CREATE_BEARER_RESPONSE,
    97: Kind.UPDATE_BEARER_REQUEST,
    98: Kind.UPDATE_BEARER_RESPONSE,
    99: Kind.DELETE_BEARER_REQUEST,
    100: Kind.DELETE_BEARER_RESPONSE,
    170: Kind.RELEASE_BEARERS_REQUEST,
    171: Kind.RELEASE_BEARERS_RESPONSE,
}
NO_TEID = {Kind.ECHO_REQUEST, Kind.ECHO_RESPONSE, Kind.VERSION_NOT_SUPPORTED}

IMSI, CAUSE, RECOVERY, APN, AMBR, EBI, MEI, MSISDN = 1, 2, 3, 71, 72, 73, 75, 76
INDICATION, PCO, PAA, BEARER_QOS, RAT, NETWORK, TFT = 77, 78, 79, 80, 82, 83, 84
ULI, FTEID, BEARER, CHARGING_ID, PDN_TYPE, PDN_CONNECTION = 86, 87, 93, 94, 99, 109
RESTRICTION, SELECTION, APCO = 127, 128, 163

ELEMENTS_MAX = 256
DEPTH_MAX = 3
BEARERS_MAX = 15
"""EPS bearer identities of one terminal, 1 to 15"""
BEARER_QOS_BYTES = 22
_GROUPED = (BEARER, PDN_CONNECTION)
_PAA_BYTES = {PDN_IPV4: 5, PDN_IPV6: 18, PDN_IPV4V6: 22}


class Header(NamedTuple):
    """The fixed part of a message; `body` is where its elements start."""

    kind: Kind
    message_type: int
    teid: int | None
    sequence: int
    body: int
    end: int


class Element(NamedTuple):
    """One element; `inner` are those of a grouped one."""

    type: int
    instance: int
    body: bytes
    inner: "list[Element] | None"


def decode(data: bytes, strict: bool, skip: Container[str] = ()) -> Message:
    """The message in a datagram, and the one piggybacked on it (TS 29.274 5.5.1)."""
    header = _header(data, 0)
    piggybacked = None
    try:
        if data[0] & 0x10:
            piggybacked = _second(data, header.end, strict, skip)
        elif header.end < len(data) and strict:
            raise elements.bad(f"{len(data) - header.end} octets follow the message", "len")
        return _message(data, header, (strict, skip), piggybacked)
    except SignallingError as error:
        if error.version:
            raise
        is_request = header.kind.endswith("-request")
        raise located(
            error, 2, header.message_type, header.teid, header.sequence, is_request
        ) from None


def _header(data: bytes, at: int) -> Header:
    """The header at `at`, which must fit the datagram."""
    flags = data[at] if at < len(data) else 0
    size = 12 if flags & 0x08 else 8
    if len(data) - at < size:
        raise SignallingError("the header is cut short", reason="short", version=2)
    message_type = data[at + 1]
    kind = KINDS.get(message_type, Kind.OTHER)
    end = at + 4 + (data[at + 2] << 8 | data[at + 3])
    teid = int.from_bytes(data[at + 4 : at + 8], "big") if size == 12 else None
    sequence = int.from_bytes(data[at + size - 4 : at + size - 1], "big")
    if not at + size <= end <= len(data):
        error = elements.bad(f"its length ends it at octet {end} of {len(data)}", "len")
        raise located(error, 2, message_type, teid, sequence, kind.endswith("-request"))
    return Header(kind, message_type, teid, sequence, at + size, end)


def _second(data: bytes, at: int, strict: bool, skip: Container[str]) -> Message:
    """The message behind the first: the last of the datagram, with nothing piggybacked on it."""
    if at + 8 > len(data) or data[at] >> 5 != 2 or data[at] & 0x10:
        raise elements.bad("what is piggybacked is no single message of version 2", "piggyback")
    header = _header(data, at)
    if header.end != len(data):
        raise elements.bad("the piggybacked message does not end the datagram", "piggyback")
    try:
        return _message(data, header, (strict, skip), None)
    except SignallingError as error:
        is_request = header.kind.endswith("-request")
        raise located(
            error, 2, header.message_type, header.teid, header.sequence, is_request
        ) from None


def _message(
    data: bytes, header: Header, how: tuple[bool, Container[str]], piggybacked: Message | None
) -> Message:
    """`how`: strict or not, and which fields are not read."""
    strict, skip = how
    kind = header.kind
    if kind is Kind.OTHER:
        return Message(
            2,
            kind,
            header.sequence,
            header.teid,
            message_type=header.message_type,
            piggybacked=piggybacked,
        )
    if strict and header.teid is None and kind not in NO_TEID:
        raise elements.bad("the header has no TEID", "noteid")
    budget = [ELEMENTS_MAX]
    found = _fields(_elements(data, header.body, header.end, 1, budget), kind, strict, skip)
    if strict:
        _check(kind, found)
    return Message(2, kind, header.sequence, header.teid, piggybacked=piggybacked, **found)


def _elements(data: bytes, at: int, end: int, depth: int, budget: list[int]) -> list[Element]:
    """The elements between two octets; all lengths are checked, down to the depth that is allowed."""
    if depth > DEPTH_MAX:
        raise elements.bad("its elements are nested too deep", "ie_depth")
    rows = []
    while at < end:
        budget[0] -= 1
        if budget[0] < 0:
            raise elements.bad(f"has more than {ELEMENTS_MAX} elements", "ie_count")
        start = at + 4
        stop = start + (data[at + 1] << 8 | data[at + 2]) if start <= end else end + 1
        kind = data[at]
        if stop > end:
            error = elements.bad(f"element {kind} runs past the end", "ie_len")
            error.offending = (kind, data[start - 1] & 0xF if start <= end else 0)
            raise error
        inner = _elements(data, start, stop, depth + 1, budget) if kind in _GROUPED else None
        rows.append(Element(kind, data[at + 3] & 0xF, data[start:stop], inner))
        at = stop
    return rows


def fteid(body: bytes) -> Fteid:
    """F-TEID (TS 29.274 8.22); at least one address."""
    flags = body[0] if body else 0
    size = 5 + (4 if flags & 0x80 else 0) + (16 if flags & 0x40 else 0)
    if not flags & 0xC0 or len(body) < size:
        raise elements.bad("has no address" if len(body) >= 5 else "is too short")
    ipv4 = elements.text4(body[5:9]) if flags & 0x80 else None
    ipv6 = elements.text6(body[size - 16 : size]) if flags & 0x40 else None
    return Fteid(flags & 0x3F, int.from_bytes(body[1:5], "big"), ipv4, ipv6)


def _cause(body: bytes) -> tuple[int, tuple[int, int] | None]:
    if len(body) < 2:
        raise elements.bad("is too short")
    return body[0], (body[2], body[5] & 0xF) if len(body) >= 6 else None


def _paa(body: bytes) -> tuple[int, str | None, str | None]:
    """(PDN type, IPv4 address, IPv6 prefix); a type without addresses has only itself (TS 29.274 8.14)."""
    kind = elements.octet(body) & 7
    size = _PAA_BYTES.get(kind)
    if size is None:
        return kind, None, None
    if len(body) != size:
        raise elements.bad(f"has {len(body)} octets, not the {size} of PDN type {kind}")
    address4 = elements.given4(body[-4:]) if kind != PDN_IPV6 else None
    address6 = elements.given6(body[2:18], body[1]) if kind != PDN_IPV4 else None
    return kind, address4, address6


def _ambr(body: bytes) -> tuple[int, int]:
    return elements.number32(body), elements.number32(body[4:])


def _qci(body: bytes) -> int:
    if len(body) != BEARER_QOS_BYTES:
        raise elements.bad(f"has {len(body)} octets, not {BEARER_QOS_BYTES}")
    return body[1]


def _low(bits: int) -> Any:
    return lambda body: elements.octet(body) & bits


_FIELDS: dict[tuple[int, int], tuple[str, Any]] = {
    (IMSI, 0): ("imsi", elements.imsi),
    (CAUSE, 0): ("cause", _cause),
    (RECOVERY, 0): ("recovery", elements.octet),
    (APN, 0): ("apn", elements.apn),
    (AMBR, 0): ("ambr_kbps", _ambr),
    (EBI, 0): ("linked_bearer", _low(0xF)),
    (MEI, 0): ("imei", elements.imei),
    (MSISDN, 0): ("msisdn", elements.msisdn),
    (INDICATION, 0): ("indication", elements.raw),
    (PCO, 0): ("options", options.read),
    (APCO, 0): ("options", options.read),
    (PAA, 0): ("paa", _paa),
    (RAT, 0): ("rat", elements.octet),
    (NETWORK, 0): ("network", elements.plmn),
    (ULI, 0): ("location", elements.raw),
    (FTEID, 0): ("control", fteid),
    (FTEID, 1): ("pgw", fteid),
    (PDN_TYPE, 0): ("pdn_type", _low(7)),
    (RESTRICTION, 0): ("apn_restriction", elements.octet),
    (SELECTION, 0): ("selection_mode", _low(3)),
}
_BEARER_FIELDS: dict[int, tuple[str, Any]] = {
    EBI: ("bearer_id", _low(0xF)),
    CAUSE: ("cause", _cause),
    BEARER_QOS: ("qci", _qci),
    TFT: ("tft", elements.traffic_template),
    CHARGING_ID: ("charging_id", elements.number32),
}


def _fields(rows: list[Element], kind: Kind, strict: bool, skip: Container[str]) -> dict[str, Any]:
    """The fields of a message by their names; of an element that is there twice the first counts.

    So does it where it cannot be read, and contexts are read for as many bearers as there can be: what
    is sent again and again costs no more.
    """
    found: dict[str, Any] = {}
    seen: set[str] = set()
    bearers: list[Bearer] = []
    contexts = 0
    for row in rows:
        try:
            if row.inner is not None:
                contexts += row.type == BEARER
                if row.type == BEARER and contexts <= BEARERS_MAX:
                    _add(bearers, _bearer(row, found, strict, skip))
            elif row.type == EBI and row.instance == 1 and kind is Kind.DELETE_BEARER_REQUEST:
                _add(bearers, Bearer(elements.octet(row.body) & 0xF, instance=1))
            else:
                field = _FIELDS.get((row.type, row.instance))
                if field is not None and field[0] not in seen and field[0] not in skip:
                    seen.add(field[0])
                    found[field[0]] = field[1](row.body)
        except SignallingError as error:
            if strict:
                raise _of_element(error, row) from None
    if "cause" in found:
        found["cause"], found["offending"] = found["cause"]
    if "paa" in found:
        pdn_type, found["address4"], found["address6"] = found.pop("paa")
        found.setdefault("pdn_type", pdn_type)
    if kind is Kind.CREATE_RESPONSE and "pgw" in found and "control" not in found:
        found["control"] = found.pop("pgw")
    found["bearers"] = tuple(bearers)
    return found


def _of_element(error: SignallingError, row: Element) -> SignallingError:
    """The error with the element in which it is: the innermost that is known."""
    if error.offending is None:
        error.offending = (row.type, row.instance)
        error.args = (f"element {row.type} (instance {row.instance}) {error}",)
    return error


def _add(bearers: list[Bearer], bearer: Bearer) -> None:
    """Of two bearers of one identity the first counts; identity 0 is one that has still to get its own."""
    known = any(b.bearer_id == bearer.bearer_id and b.instance == bearer.instance for b in bearers)
    if len(bearers) < BEARERS_MAX and (bearer.bearer_id == 0 or not known):
        bearers.append(bearer)


def _bearer(
    context: Element, message: dict[str, Any], strict: bool, skip: Container[str]
) -> Bearer:
    """A bearer context; the charging id of the first one is the message's."""
    found: dict[str, Any] = {}
    seen: set[str] = set()
    fteids: dict[int, Fteid] = {}
    for row in context.inner or ():
        try:
            if row.type == FTEID:
                if row.instance not in fteids:
                    fteids[row.instance] = fteid(row.body)
            elif row.type in _BEARER_FIELDS and row.instance == 0:
                name, read = _BEARER_FIELDS[row.type]
                if name not in seen and name not in skip:
                    seen.add(name)
                    found[name] = read(row.body)
        except SignallingError as error:
            if strict:
                raise _of_element(error, row) from None
    if "charging_id" in found:
        message.setdefault("charging_id", found.pop("charging_id"))
    if "cause" in found:
        found["cause"], _ = found["cause"]
    if "bearer_id" not in found:
        if strict:
            raise _missing("a bearer context has no identity", EBI)
        found["bearer_id"] = 0
    return Bearer(fteids=tuple(fteids.values()), instance=context.instance, **found)


def _missing(text: str, element: int) -> SignallingError:
    error = elements.bad(text, "ie_missing")
    error.offending = (element, 0)
    return error


# What a gateway cannot do without in a request to it (TS 29.274 7.2.1); emergency calls are not served.
_CREATE_NEEDS = (
    ("imsi", IMSI, "IMSI"),
    ("rat", RAT, "RAT type"),
    ("control", FTEID, "F-TEID of the sender"),
    ("apn", APN, "APN"),
    ("pdn_type", PAA, "PDN type or PAA"),
)


def _check(kind: Kind, found: dict[str, Any]) -> None:
    """What is mandatory in this message is there."""
    if kind is Kind.CREATE_REQUEST:
        for name, element, text in _CREATE_NEEDS:
            if found.get(name) is None:
                raise _missing(f"has no {text}", element)
        bearer = next((bearer for bearer in found["bearers"] if bearer.instance == 0), None)
        if bearer is None:
            raise _missing("has no bearer context", BEARER)
        if not bearer.fteids:
            raise _missing("its bearer context has no F-TEID", FTEID)
        if any(end.teid == 0 for end in (found["control"], *bearer.fteids)):
            error = elements.bad("an F-TEID has TEID 0")
            error.offending = (FTEID, 0)
            raise error
    elif kind.endswith("-response") and kind is not Kind.ECHO_RESPONSE and "cause" not in found:
        raise _missing("has no cause", CAUSE)
