"""GTPv1-C (TS 29.060): octets to `Message`."""

from collections.abc import Container
from typing import Any, NamedTuple

from engine.errors import SignallingError
from engine.signalling import elements, options
from engine.signalling.causes import located
from engine.signalling.messages import (
    GN_GGSN_C,
    GN_GGSN_U,
    GN_SGSN_C,
    GN_SGSN_U,
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
    16: Kind.CREATE_REQUEST,
    17: Kind.CREATE_RESPONSE,
    18: Kind.MODIFY_REQUEST,
    19: Kind.MODIFY_RESPONSE,
    20: Kind.DELETE_REQUEST,
    21: Kind.DELETE_RESPONSE,
}

CAUSE, IMSI, RAI, REORDERING, RECOVERY, SELECTION, TEID_DATA, TEID_CONTROL = (
    1,
    2,
    3,
    8,
    14,
    15,
    16,
    17,
)
TEARDOWN, NSAPI, CHARGING_ID = 19, 20, 127
END_USER, APN, PCO, GSN, MSISDN, QOS, TFT, EXTENSION_LIST = 128, 131, 132, 133, 134, 135, 137, 141
RESTRICTION, RAT, ULI, IMEI = 149, 151, 152, 154

# Elements below 128 have no length of their own: octets of their contents (TS 29.060 7.7, table 37).
TV_BYTES = (
    dict.fromkeys((1, 8, 11, 13, 14, 15, 19, 20, 21, 23, 24, 29), 1)
    | dict.fromkeys((25, 26, 27, 28), 2)
    | dict.fromkeys((4, 5, 16, 17, CHARGING_ID), 4)
    | {2: 8, 3: 6, 9: 28, 12: 3, 18: 5, 22: 9}
)
ELEMENTS_MAX = 256
EXTENSIONS_MAX = 8
ETSI, IETF = 0xF0, 0xF1
PDN_TYPES = {0x21: PDN_IPV4, 0x57: PDN_IPV6, 0x8D: PDN_IPV4V6}
_PREFIX_BITS = 64


class Header(NamedTuple):
    """The fixed part of a message; `body` is where its elements start, behind extension headers."""

    kind: Kind
    message_type: int
    teid: int
    sequence: int
    body: int
    end: int


def decode(data: bytes, strict: bool, skip: Container[str] = ()) -> Message:
    """The message in a datagram, without fields of `skip`."""
    if len(data) < 8:
        raise SignallingError("the header is cut short", reason="short", version=1)
    message_type = data[1]
    kind = KINDS.get(message_type, Kind.OTHER)
    teid = int.from_bytes(data[4:8], "big")
    sequence = data[8] << 8 | data[9] if data[0] & 0x02 and len(data) >= 12 else None
    try:
        header = _header(data, kind, teid, sequence, strict)
        if kind is Kind.OTHER:
            return Message(1, kind, header.sequence, teid, message_type=message_type)
        rows = _elements(data, header.body, header.end, strict)
        found = _fields(rows, kind, strict, skip)
        if strict:
            _check(kind, found)
        return Message(1, kind, header.sequence, teid, **found)
    except SignallingError as error:
        is_request = kind.endswith("-request")
        raise located(error, 1, message_type, teid, sequence, is_request) from None


def _header(data: bytes, kind: Kind, teid: int, sequence: int | None, strict: bool) -> Header:
    """Checks the length and goes past the optional part and its extension headers (TS 29.060 6)."""
    end = 8 + (data[2] << 8 | data[3])
    if end > len(data) or (strict and end < len(data)):
        raise elements.bad(f"its length ends it at octet {end} of {len(data)}", "len")
    if sequence is None and strict:
        raise elements.bad("has no sequence number", "noseq")
    at = 8
    if data[0] & 0x07:
        at = 12
        if at > end:
            raise elements.bad("the optional part of the header is cut short", "short")
        if data[0] & 0x04:
            at = _past_extensions(data, end, strict)
    return Header(kind, data[1], teid, sequence or 0, at, end)


def _past_extensions(data: bytes, end: int, strict: bool) -> int:
    """Where the extension headers end; one that must be understood is not (TS 29.060 6.1)."""
    following, at = data[11], 12
    for _ in range(EXTENSIONS_MAX):
        if following == 0:
            return at
        if following & 0x80 and strict:
            raise elements.bad(f"extension header {following} is not known", "ext_required")
        size = data[at] * 4 if at < end else 0
        if size == 0 or at + size > end:
            raise elements.bad("an extension header has no length or runs past the end", "ext_len")
        following = data[at + size - 1]
        at += size
    if following:
        raise elements.bad(f"has more than {EXTENSIONS_MAX} extension headers", "ext_count")
    return at


def _elements(data: bytes, at: int, end: int, strict: bool) -> list[tuple[int, bytes]]:
    """(type, contents) of the elements between two octets; what is behind an unknown short one is lost."""
    rows: list[tuple[int, bytes]] = []
    while at < end:
        if len(rows) >= ELEMENTS_MAX:
            raise elements.bad(f"has more than {ELEMENTS_MAX} elements", "ie_count")
        kind = data[at]
        if kind < 128:
            size = TV_BYTES.get(kind)
            if size is None and not strict:
                break
            if size is None:
                raise elements.bad(f"element {kind} has no known length", "ie_type")
            start = at + 1
        elif kind == EXTENSION_LIST:  # the one whose length is of one octet (TS 29.060 7.7.40)
            start = at + 2
            size = data[at + 1] if start <= end else 0
        else:
            start = at + 3
            size = data[at + 1] << 8 | data[at + 2] if start <= end else 0
        if start + size > end:
            error = elements.bad(f"element {kind} runs past the end", "ie_len")
            error.offending = (kind, 0)
            raise error
        rows.append((kind, data[start : start + size]))
        at = start + size
    return rows


def _end_user(body: bytes) -> tuple[int | None, str | None, str | None]:
    """(PDN type, IPv4 address, IPv6 prefix) of an End User Address (TS 29.060 7.7.27)."""
    if len(body) < 2:
        raise elements.bad("is too short")
    kind = PDN_TYPES.get(body[1]) if body[0] & 0xF == IETF & 0xF else None
    if kind is None:
        raise elements.bad(f"has PDP type {body[0] & 0xF}:{body[1]}", "pdn_type")
    size4 = 4 if kind != PDN_IPV6 and len(body) in (6, 22) else 0
    size6 = 16 if kind != PDN_IPV4 and len(body) in (18, 22) else 0
    if len(body) != 2 + size4 + size6:
        raise elements.bad(f"has {len(body)} octets")
    address4 = elements.given4(body[2:6]) if size4 else None
    address6 = elements.given6(body[-16:], _PREFIX_BITS) if size6 else None
    return kind, address4, address6


def _gsn(body: bytes) -> tuple[str | None, str | None]:
    """(IPv4, IPv6) of a GSN Address, one of which it is (TS 29.060 7.7.32)."""
    if len(body) == 4:
        return elements.text4(body), None
    if len(body) == 16:
        return None, elements.text6(body)
    raise elements.bad(f"has {len(body)} octets, not 4 or 16")


def _msisdn(body: bytes) -> str | None:
    """Behind the octet of its numbering plan (TS 29.060 7.7.33)."""
    return elements.msisdn(body[1:])


def _nsapi(body: bytes) -> int:
    return body[0] & 0xF


def _ends(found: dict[str, Any], kind: Kind) -> dict[str, Any]:
    """The ends of control and user plane: TEIDs apart from addresses, alternatives behind (7.3.1)."""
    gsn: list[tuple[str | None, str | None]] = found.pop("gsn", [])
    interfaces = (GN_SGSN_C, GN_SGSN_U) if kind.endswith("-request") else (GN_GGSN_C, GN_GGSN_U)
    teids = (found.pop("teid_control", None), found.pop("teid_data", None))
    ends: list[Fteid | None] = []
    for at, (interface, teid) in enumerate(zip(interfaces, teids, strict=True)):
        mine = gsn[at::2][:2]
        if teid is None or not mine:
            ends.append(None)
            continue
        ipv4 = next((four for four, _ in mine if four is not None), None)
        ipv6 = next((six for _, six in mine if six is not None), None)
        ends.append(Fteid(interface, teid, ipv4, ipv6))
    control, user = ends
    nsapi = found.pop("nsapi", None)
    if nsapi is not None or user is not None:
        # An answer need not repeat the NSAPI: its request has it.
        found["bearers"] = (Bearer(nsapi or 0, (user,) if user is not None else ()),)
    return {"control": control}


_FIELDS: dict[int, tuple[str, Any]] = {
    CAUSE: ("cause", elements.octet),
    IMSI: ("imsi", elements.imsi),
    RAI: ("network", elements.plmn),
    RECOVERY: ("recovery", elements.octet),
    SELECTION: ("selection_mode", lambda body: body[0] & 3),
    TEID_DATA: ("teid_data", elements.number32),
    TEID_CONTROL: ("teid_control", elements.number32),
    TEARDOWN: ("teardown", lambda body: bool(body[0] & 1)),
    NSAPI: ("nsapi", _nsapi),
    CHARGING_ID: ("charging_id", elements.number32),
    END_USER: ("end_user", _end_user),
    APN: ("apn", elements.apn),
    PCO: ("options", options.read),
    MSISDN: ("msisdn", _msisdn),
    QOS: ("qos", elements.raw),
    TFT: ("tft", elements.traffic_template),
    RESTRICTION: ("apn_restriction", elements.octet),
    RAT: ("rat", elements.octet),
    ULI: ("location", elements.raw),
    IMEI: ("imei", elements.imei),
}


def _fields(
    rows: list[tuple[int, bytes]], kind: Kind, strict: bool, skip: Container[str]
) -> dict[str, Any]:
    """The fields of a message by their names; of an element twice there the first counts."""
    found: dict[str, Any] = {}
    seen: set[str] = set()
    for element, body in rows:
        try:
            if element == GSN:
                addresses = found.setdefault("gsn", [])
                if len(addresses) < 4:
                    addresses.append(_gsn(body))
            elif element == NSAPI and "nsapi" in found:
                found.setdefault("linked_bearer", _nsapi(body))
            elif element in _FIELDS:
                name, read = _FIELDS[element]
                if name not in seen and name not in skip:
                    seen.add(name)
                    found[name] = read(body)
        except SignallingError as error:
            if strict:
                error.offending = (element, 0)
                error.args = (f"element {element} {error}",)
                raise
    tft = found.pop("tft", None)
    found.update(_ends(found, kind))
    if tft is not None and found.get("bearers"):
        first = found["bearers"][0]
        found["bearers"] = (Bearer(first.bearer_id, first.fteids, tft=tft),)
    if "end_user" in found:
        found["pdn_type"], found["address4"], found["address6"] = found.pop("end_user")
    if "network" not in found and len(found.get("location", b"")) >= 4:
        found["network"] = _network(found["location"])
    return found


def _network(location: bytes) -> tuple[str, str] | None:
    """The network of the user's location; None where it has none (TS 29.060 7.7.51)."""
    try:
        return elements.plmn(location[1:])
    except SignallingError:
        return None


# What must be there in a request to a gateway (TS 29.060 7.3), less the QoS profile, which some leave out.
_NEEDS: dict[Kind, tuple[tuple[str, int, str], ...]] = {
    Kind.CREATE_REQUEST: (
        ("imsi", IMSI, "IMSI"),
        ("control", TEID_CONTROL, "control plane TEID with an address"),
        ("apn", APN, "APN"),
        ("pdn_type", END_USER, "End User Address"),
    ),
}
_WITH_BEARER = {Kind.CREATE_REQUEST, Kind.MODIFY_REQUEST, Kind.DELETE_REQUEST}
_ANSWERS = {Kind.CREATE_RESPONSE, Kind.MODIFY_RESPONSE, Kind.DELETE_RESPONSE}


def _missing(text: str, element: int) -> SignallingError:
    error = elements.bad(text, "ie_missing")
    error.offending = (element, 0)
    return error


def _check(kind: Kind, found: dict[str, Any]) -> None:
    """What is mandatory in this message is there."""
    for name, element, text in _NEEDS.get(kind, ()):
        if found.get(name) is None:
            raise _missing(f"has no {text}", element)
    if kind in _WITH_BEARER:
        if not found.get("bearers"):
            raise _missing("has no NSAPI", NSAPI)
        if kind is not Kind.DELETE_REQUEST and not found["bearers"][0].fteids:
            raise _missing("has no data TEID with an address", TEID_DATA)
    if kind is Kind.CREATE_REQUEST:
        if 0 in (found["control"].teid, found["bearers"][0].fteids[0].teid):
            error = elements.bad("has TEID 0")
            error.offending = (TEID_DATA, 0)
            raise error
    if kind in _ANSWERS and found.get("cause") is None:
        raise _missing("has no cause", CAUSE)
