"""GTPv1-C (TS 29.060): `Message` to octets. What version 1 has no element for is left out."""

from engine.errors import UsageError
from engine.signalling import elements, options
from engine.signalling import gtpv1_read as ie
from engine.signalling.causes import accepted
from engine.signalling.messages import (
    PDN_IPV4,
    PDN_IPV4V6,
    PDN_IPV6,
    Fteid,
    Kind,
    Message,
)

TYPES = {kind: number for number, kind in ie.KINDS.items()}
_PDN_NUMBERS = {kind: number for number, kind in ie.PDN_TYPES.items()}

# Interactive, best effort, SDUs of 1500 octets, 8640 kbit/s each way, none guaranteed (TS 24.008 10.5.6.5),
# behind allocation/retention priority 2.
DEFAULT_QOS = bytes.fromhex("02 23921f7396fefe7403ffff00")
_INTERNATIONAL = b"\x91"
_LOCATION_AREA = bytes.fromhex("fffe ff")  # "deleted" (TS 23.003 4.1): a PLMN without an area


def encode(message: Message) -> bytes:
    """The datagram of a message. UsageError where a value does not fit its element."""
    if not 0 <= message.sequence < 1 << 16:
        raise UsageError(f"sequence number {message.sequence} has more than 16 bits")
    if message.piggybacked is not None:
        raise UsageError("version 1 has no piggybacked messages")
    body = b"" if message.kind is Kind.OTHER else _body(message)
    message_type = TYPES.get(message.kind)
    if message_type is None:
        if message.kind is not Kind.OTHER:
            raise UsageError(f"version 1 has no {message.kind}")
        message_type = message.message_type
    tail = message.sequence.to_bytes(2, "big") + b"\0\0" + body
    head = bytes([0x32, message_type]) + len(tail).to_bytes(2, "big")
    return head + _number(message.teid or 0) + tail


def _number(value: int) -> bytes:
    if not 0 <= value < 1 << 32:
        raise UsageError(f"{value} does not fit 32 bits")
    return value.to_bytes(4, "big")


def _tv(kind: int, value: int | None, most: int = 255) -> bytes:
    """An element of one octet, nothing where the message does not carry it."""
    if value is None:
        return b""
    if not 0 <= value <= most:
        raise UsageError(f"element {kind} cannot be {value}")
    return bytes([kind, value])


def _tlv(kind: int, body: bytes | None) -> bytes:
    return b"" if body is None else bytes([kind]) + len(body).to_bytes(2, "big") + body


def _raw(kind: int, octets: bytes | None) -> bytes:
    if octets is not None and not 1 <= len(octets) <= 255:
        raise UsageError(f"element {kind} cannot have {len(octets)} octets")
    return _tlv(kind, octets)


def _body(message: Message) -> bytes:
    """The elements in the ascending order of their types, which the version asks for."""
    bearer = message.bearers[0] if message.bearers else None
    user = bearer.fteids[0] if bearer is not None and bearer.fteids else None
    creates = message.kind is Kind.CREATE_RESPONSE and accepted(1, message.cause)
    parts = [
        _tv(ie.CAUSE, message.cause),
        b"" if message.imsi is None else bytes([ie.IMSI]) + elements.write_digits(message.imsi, 8),
        _area(message),
        _tv(ie.REORDERING, 0xFE if creates else None),
        _tv(ie.RECOVERY, message.recovery),
        _tv(
            ie.SELECTION, None if message.selection_mode is None else 0xFC | message.selection_mode
        ),
        b"" if user is None else bytes([ie.TEID_DATA]) + _number(user.teid),
        _control(message),
        _tv(ie.TEARDOWN, 0xFF if message.teardown else None),
        _tv(ie.NSAPI, bearer.bearer_id if bearer is not None else None, 15),
        _tv(ie.NSAPI, message.linked_bearer, 15),
    ]
    if message.charging_id is not None:
        parts.append(bytes([ie.CHARGING_ID]) + _number(message.charging_id))
    parts += [
        _end_user(message),
        _tlv(ie.APN, None if message.apn is None else elements.write_apn(message.apn)),
        _tlv(ie.PCO, None if message.options is None else options.write(message.options)),
        _gsn(message.control, user),
        b"" if message.msisdn is None else _msisdn(message.msisdn),
        _raw(
            ie.QOS, message.qos if message.qos is not None or not _has_qos(message) else DEFAULT_QOS
        ),
    ]
    if bearer is not None and bearer.tft is not None:
        parts.append(_tlv(ie.TFT, elements.write_template(bearer.tft)))
    parts += [
        _raw(
            ie.RESTRICTION,
            None if message.apn_restriction is None else bytes([message.apn_restriction]),
        ),
        _raw(ie.RAT, None if message.rat is None else bytes([message.rat])),
        _raw(ie.ULI, message.location),
        _raw(ie.IMEI, None if message.imei is None else elements.write_digits(message.imei, 8)),
    ]
    return b"".join(parts)


def _has_qos(message: Message) -> bool:
    if message.kind in (Kind.CREATE_REQUEST, Kind.MODIFY_REQUEST):
        return True
    answers = message.kind in (Kind.CREATE_RESPONSE, Kind.MODIFY_RESPONSE)
    return answers and accepted(1, message.cause)


def _area(message: Message) -> bytes:
    """The network as a routing area identity."""
    if message.network is None:
        return b""
    return bytes([ie.RAI]) + elements.write_plmn(message.network) + _LOCATION_AREA


def _control(message: Message) -> bytes:
    if message.control is None:
        return b""
    return bytes([ie.TEID_CONTROL]) + _number(message.control.teid)


def _msisdn(text: str) -> bytes:
    return _tlv(ie.MSISDN, _INTERNATIONAL + elements.write_digits(text))


def _end_user(message: Message) -> bytes:
    kind = message.pdn_type
    if kind is None:
        if message.address4 is None and message.address6 is None:
            return b""
        kind = elements.pdn_type_of(message.address4, message.address6)
    if kind not in _PDN_NUMBERS:
        raise UsageError(f"version 1 has no PDN type {kind}")
    body = bytes([ie.IETF, _PDN_NUMBERS[kind]])
    if kind in (PDN_IPV4, PDN_IPV4V6) and message.address4 is not None:
        body += elements.pack4(message.address4)
    if kind in (PDN_IPV6, PDN_IPV4V6) and message.address6 is not None:
        body += elements.write_prefix(message.address6)[1]
    return _tlv(ie.END_USER, body)


def _gsn(control: Fteid | None, user: Fteid | None) -> bytes:
    """Addresses of control and user plane, then those of the other family where one of them has both."""
    if control is None and user is None:
        return b""
    pairs = [_packed(control or user), _packed(user or control)]
    rows = [pair[0] for pair in pairs]
    if any(len(pair) > 1 for pair in pairs):
        rows += [pair[-1] for pair in pairs]
    return b"".join(_tlv(ie.GSN, row) for row in rows)


def _packed(end: Fteid | None) -> list[bytes]:
    packed = []
    if end is not None and end.ipv4 is not None:
        packed.append(elements.pack4(end.ipv4))
    if end is not None and end.ipv6 is not None:
        packed.append(elements.pack6(end.ipv6))
    if not packed:
        raise UsageError(f"{end} has no address")
    return packed
