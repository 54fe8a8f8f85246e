"""GTPv2-C (TS 29.274): `Message` to octets. What version 2 has no element for is left out."""

from engine.errors import UsageError
from engine.signalling import elements, options
from engine.signalling import gtpv2_read as ie
from engine.signalling.messages import (
    PDN_IPV4,
    PDN_IPV4V6,
    PDN_IPV6,
    S1U_ENODEB,
    S1U_SGW,
    S5_PGW_C,
    S5_PGW_U,
    S5_SGW_U,
    Bearer,
    Fteid,
    Kind,
    Message,
)

TYPES = {kind: number for number, kind in ie.KINDS.items()}

# Interface types that stand beside those of `messages` in the same lists (TS 29.274 8.22).
S12_RNC, S12_SGW, S4_SGSN_U, S4_SGW_U, S2B_PGW_C, S2A_PGW_C, S11_MME_U, S11_SGW_U = (
    *(2, 3, 15, 16, 32, 36, 38, 39),
)

# The instance of an F-TEID in a bearer context, by message and interface (tables of TS 29.274 7.2).
_INSTANCES: dict[Kind, tuple[int, ...]] = {
    Kind.CREATE_REQUEST: (S1U_ENODEB, S4_SGSN_U, S5_SGW_U, S5_PGW_U, S12_RNC, -1, -1, S11_MME_U),
    Kind.CREATE_RESPONSE: (S1U_SGW, S4_SGW_U, S5_PGW_U, S12_SGW, -1, -1, S11_SGW_U),
    Kind.MODIFY_REQUEST: (S1U_ENODEB, S5_SGW_U, S12_RNC, S4_SGSN_U, S11_MME_U),
    Kind.MODIFY_RESPONSE: (S1U_SGW, S12_SGW, S4_SGW_U, S11_SGW_U),
    Kind.CREATE_BEARER_REQUEST: (S1U_SGW, S5_PGW_U, S12_SGW, S4_SGW_U),
    Kind.CREATE_BEARER_RESPONSE: (
        *(S1U_ENODEB, S1U_SGW, S5_SGW_U, S5_PGW_U, S12_RNC, S12_SGW, S4_SGSN_U, S4_SGW_U),
    ),
}
_P_GW_ENDS = {S5_PGW_C, S2B_PGW_C, S2A_PGW_C}
# Pre-emption: capability and vulnerability off, level 15; the bit rates of a non-GBR bearer are 0 (8.15).
_ARP = 0x7D


def encode(message: Message) -> bytes:
    """The datagram of a message. UsageError where a value does not fit its element."""
    body = b"" if message.kind is Kind.OTHER else _body(message)
    message_type = TYPES.get(message.kind, message.message_type)
    flags = 0x40 | (0x10 if message.piggybacked is not None else 0)
    if not 0 <= message.sequence < 1 << 24:
        raise UsageError(f"sequence number {message.sequence} has more than 24 bits")
    tail = message.sequence.to_bytes(3, "big") + b"\0" + body
    if message.teid is not None:
        flags |= 0x08
        tail = _number(message.teid) + tail
    if len(tail) > 0xFFFF:
        raise UsageError("the message is longer than 65535 octets")
    octets = bytes([flags, message_type]) + len(tail).to_bytes(2, "big") + tail
    if message.piggybacked is None:
        return octets
    if message.piggybacked.version != 2 or message.piggybacked.piggybacked is not None:
        raise UsageError("only one message of version 2 can be piggybacked")
    return octets + encode(message.piggybacked)


def _number(value: int) -> bytes:
    if not 0 <= value < 1 << 32:
        raise UsageError(f"{value} does not fit 32 bits")
    return value.to_bytes(4, "big")


def _element(kind: int, body: bytes, instance: int = 0) -> bytes:
    return bytes([kind]) + len(body).to_bytes(2, "big") + bytes([instance]) + body


def _octet(kind: int, value: int | None, instance: int = 0) -> bytes:
    """An element of one octet, nothing where the message does not carry it."""
    if value is None:
        return b""
    if not 0 <= value <= 255:
        raise UsageError(f"{value} does not fit an octet")
    return _element(kind, bytes([value]), instance)


def _digits(kind: int, text: str | None) -> bytes:
    return b"" if text is None else _element(kind, elements.write_digits(text))


def _raw(kind: int, octets: bytes | None) -> bytes:
    if octets is None:
        return b""
    if not 1 <= len(octets) <= 255:
        raise UsageError(f"element {kind} cannot have {len(octets)} octets")
    return _element(kind, octets)


def _cause(message: Message) -> bytes:
    if message.cause is None:
        return b""
    body = bytes([message.cause, 0])
    if message.offending is not None:
        kind, instance = message.offending
        body += bytes([kind, 0, 0, instance])
    return _element(ie.CAUSE, body)


def _fteid(end: Fteid | None, instance: int) -> bytes:
    if end is None:
        return b""
    if (end.ipv4 is None and end.ipv6 is None) or not 0 <= end.interface < 64:
        raise UsageError(f"{end} is no F-TEID of version 2 with an address")
    flags = (0x80 if end.ipv4 is not None else 0) | (0x40 if end.ipv6 is not None else 0)
    body = bytes([flags | end.interface]) + _number(end.teid)
    body += b"" if end.ipv4 is None else elements.pack4(end.ipv4)
    body += b"" if end.ipv6 is None else elements.pack6(end.ipv6)
    return _element(ie.FTEID, body, instance)


def _addresses(message: Message) -> bytes:
    """PDN type and PAA; an answer has the second alone. Addresses of which nothing is said are 0."""
    kind, asks = message.pdn_type, message.is_request
    if kind is None:
        if message.address4 is None and message.address6 is None:
            return b""
        kind = elements.pdn_type_of(message.address4, message.address6)
    body = bytes([kind])
    if kind in (PDN_IPV6, PDN_IPV4V6):
        bits, prefix = elements.write_prefix(message.address6 or "::/128")
        body += bytes([bits if message.address6 else 0]) + prefix
    if kind in (PDN_IPV4, PDN_IPV4V6):
        body += elements.pack4(message.address4 or "0.0.0.0")
    return (_octet(ie.PDN_TYPE, kind) if asks else b"") + _element(ie.PAA, body)


def _body(message: Message) -> bytes:
    parts = [
        _digits(ie.IMSI, message.imsi),
        _cause(message),
        _digits(ie.MSISDN, message.msisdn),
        _digits(ie.MEI, message.imei),
        _raw(ie.ULI, message.location),
    ]
    if message.network is not None:
        parts.append(_element(ie.NETWORK, elements.write_plmn(message.network)))
    parts += [
        _octet(ie.RAT, message.rat),
        _raw(ie.INDICATION, message.indication),
        *_controls(message),
    ]
    if message.apn is not None:
        parts.append(_element(ie.APN, elements.write_apn(message.apn)))
    parts += [
        _octet(ie.SELECTION, message.selection_mode),
        _addresses(message),
        _octet(ie.RESTRICTION, message.apn_restriction),
    ]
    if message.ambr_kbps is not None:
        up, down = message.ambr_kbps
        parts.append(_element(ie.AMBR, _number(up) + _number(down)))
    parts.append(_octet(ie.EBI, message.linked_bearer))
    if message.options is not None:
        parts.append(_element(ie.PCO, options.write(message.options)))
    for at, bearer in enumerate(message.bearers):
        parts.append(_bearer(message, bearer, at == 0))
    parts.append(_octet(ie.RECOVERY, message.recovery))
    return b"".join(parts)


def _controls(message: Message) -> tuple[bytes, bytes]:
    control, pgw = message.control, message.pgw
    of_pgw = control is not None and control.interface in _P_GW_ENDS
    if message.kind is Kind.CREATE_RESPONSE and pgw is None and of_pgw:
        control, pgw = None, control
    return _fteid(control, 0), _fteid(pgw, 1)


def _bearer(message: Message, bearer: Bearer, is_first: bool) -> bytes:
    by_identity = message.kind is Kind.DELETE_BEARER_REQUEST and bearer.instance == 1
    identity = _octet(ie.EBI, bearer.bearer_id, 1 if by_identity else 0)
    if by_identity:
        return identity
    parts = [identity]
    if bearer.cause is not None:
        parts.append(_element(ie.CAUSE, bytes([bearer.cause, 0])))
    if bearer.tft is not None:
        parts.append(_element(ie.TFT, elements.write_template(bearer.tft)))
    known = _INSTANCES.get(message.kind, ())
    instances: set[int] = set()
    for end in bearer.fteids:
        instance = known.index(end.interface) if end.interface in known else 0
        if instance in instances:
            raise UsageError(f"{message.kind} has one place for two F-TEIDs of a bearer: {bearer}")
        instances.add(instance)
        parts.append(_fteid(end, instance))
    if bearer.qci is not None:
        parts.append(_element(ie.BEARER_QOS, bytes([_ARP, bearer.qci]) + bytes(20)))
    if is_first and message.charging_id is not None:
        parts.append(_element(ie.CHARGING_ID, _number(message.charging_id)))
    return _element(ie.BEARER, b"".join(parts), bearer.instance)
