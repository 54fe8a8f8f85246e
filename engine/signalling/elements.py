"""Contents of information elements that both versions share: bytes to values and back.

Nothing from the network is believed: each reader checks the length first, so that its work is bounded,
and raises SignallingError with reason "ie_value". Writers are given values of this program and raise
UsageError.
"""

import re
from functools import lru_cache
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

from engine.errors import SignallingError, UsageError
from engine.signalling.messages import PDN_IPV4, PDN_IPV4V6, PDN_IPV6

_REMEMBERED = 1024
"""addresses and access point names whose text is kept: those of the network come again and again"""
APN_BYTES_MAX = 100
TFT_BYTES_MAX = 255
_LABEL = re.compile(rb"[A-Za-z0-9_-]{1,63}")
_SWAPPED = bytes((octet & 0xF) << 4 | octet >> 4 for octet in range(256))
# The host part that a terminal is told with its /64; it may choose others (TS 23.060 9.2.1.1).
_INTERFACE_ID = 1


def bad(text: str, reason: str = "ie_value") -> SignallingError:
    """The error of a reader; whoever knows the element and the message adds them."""
    return SignallingError(text, reason=reason)


def octet(body: bytes) -> int:
    """The first octet; more may follow in a later release."""
    if not body:
        raise bad("is empty")
    return body[0]


def number32(body: bytes) -> int:
    """The first four octets."""
    if len(body) < 4:
        raise bad(f"has {len(body)} octets, not 4")
    return int.from_bytes(body[:4], "big")


def raw(body: bytes) -> bytes:
    """Octets that are handed on as they are."""
    if not 1 <= len(body) <= 255:
        raise bad(f"has {len(body)} octets")
    return body


def digits(body: bytes, least: int, most: int) -> str:
    """Decimal digits, two an octet, the lower half first; F fills up (TBCD, TS 29.002 17.7.8)."""
    if len(body) > 8:
        raise bad(f"has {len(body)} octets of digits, at most 8 are allowed")
    text = body.translate(_SWAPPED).hex().rstrip("f")
    if not (least <= len(text) <= most and text.isdigit()):
        raise bad(f"is not a number of {least} to {most} digits")
    return text


def imsi(body: bytes) -> str:
    """TS 23.003 2.2: 6 to 15 digits."""
    return digits(body, 6, 15)


def imei(body: bytes) -> str:
    """IMEI or IMEISV (TS 23.003 6.2): 14 to 16 digits."""
    return digits(body, 14, 16)


def msisdn(body: bytes) -> str | None:
    """E.164, at most 15 digits; None where the element is there and empty."""
    return digits(body, 1, 15) if body else None


def write_digits(text: str, size: int = 0) -> bytes:
    """TBCD of decimal digits, filled up with F to `size` octets where that is given."""
    if not (text.isascii() and text.isdigit() and len(text) <= 16):
        raise UsageError(f"{text!r} is not a number of at most 16 digits")
    filled = text + "f" * max(len(text) % 2, size * 2 - len(text))
    return bytes.fromhex(filled).translate(_SWAPPED)


def plmn(body: bytes) -> tuple[str, str]:
    """(MCC, MNC) of the first three octets (TS 24.008 10.5.1.3)."""
    if len(body) < 3:
        raise bad(f"has {len(body)} octets, not the 3 of MCC and MNC")
    text = body[:3].translate(_SWAPPED).hex()
    mnc = text[4:] + text[3] if text[3] != "f" else text[4:]
    if not (text[:3] + mnc).isdigit():
        raise bad("is no MCC and MNC")
    return text[:3], mnc


def write_plmn(network: tuple[str, str]) -> bytes:
    mcc, mnc = network
    if not (
        (mcc + mnc).isascii() and (mcc + mnc).isdigit() and len(mcc) == 3 and len(mnc) in (2, 3)
    ):
        raise UsageError(f"{mcc}-{mnc} is no MCC and MNC")
    return bytes.fromhex(mcc + (mnc[2:] or "f") + mnc[:2]).translate(_SWAPPED)


@lru_cache(_REMEMBERED)
def apn(body: bytes) -> str:
    """The labels of an access point name, joined by dots, in the case they have there (TS 23.003 9.1)."""
    if not 1 <= len(body) <= APN_BYTES_MAX:
        raise bad(f"has {len(body)} octets, an APN 1 to {APN_BYTES_MAX}")
    labels, at = [], 0
    while at < len(body):
        end = at + 1 + body[at]
        label = body[at + 1 : end]
        if end > len(body) or not _LABEL.fullmatch(label):
            raise bad("has a label that is empty, too long or not of letters, digits and hyphens")
        labels.append(label.decode("ascii"))
        at = end
    return ".".join(labels)


def write_apn(name: str) -> bytes:
    labels = [label.encode("utf-8") for label in name.split(".")]
    body = b"".join(bytes([min(len(label), 255)]) + label for label in labels)
    if len(body) > APN_BYTES_MAX or not all(_LABEL.fullmatch(label) for label in labels):
        raise UsageError(f"{name!r} is no APN")
    return body


@lru_cache(_REMEMBERED)
def text4(body: bytes) -> str:
    return inet_ntop(AF_INET, body)


@lru_cache(_REMEMBERED)
def text6(body: bytes) -> str:
    return inet_ntop(AF_INET6, body)


def pack4(address: str) -> bytes:
    try:
        return inet_pton(AF_INET, address)
    except OSError:
        raise UsageError(f"{address!r} is no IPv4 address") from None


def pack6(address: str) -> bytes:
    try:
        return inet_pton(AF_INET6, address)
    except OSError:
        raise UsageError(f"{address!r} is no IPv6 address") from None


def given4(body: bytes) -> str | None:
    """An address that was given; None for 0.0.0.0, which asks for any."""
    return text4(body) if any(body) else None


def given6(body: bytes, prefix_bits: int) -> str | None:
    """The prefix of an address that was given, as "2001:db8::/64"; None for ::, which asks for any."""
    if prefix_bits > 128:
        raise bad(f"has an IPv6 prefix of {prefix_bits} bits")
    if not any(body):
        return None
    value = int.from_bytes(body, "big") >> (128 - prefix_bits) << (128 - prefix_bits)
    return f"{text6(value.to_bytes(16, 'big'))}/{prefix_bits}"


def write_prefix(prefix: str) -> tuple[int, bytes]:
    """(bits, address in it) of "2001:db8::/64"."""
    address, _, bits = prefix.partition("/")
    if not (bits.isascii() and bits.isdigit() and int(bits) <= 128):
        raise UsageError(f"{prefix!r} is no IPv6 prefix")
    value = int.from_bytes(pack6(address), "big")
    return int(bits), (value | (_INTERFACE_ID if int(bits) < 128 else 0)).to_bytes(16, "big")


def pdn_type_of(address4: str | None, address6: str | None) -> int:
    """The PDN type of what is given; IPv4 where nothing is."""
    if address6 is None:
        return PDN_IPV4
    return PDN_IPV6 if address4 is None else PDN_IPV4V6


def write_template(body: bytes) -> bytes:
    """A template of this program, checked as one of the network is."""
    try:
        return traffic_template(body)
    except SignallingError as error:
        raise UsageError(f"the traffic flow template {body.hex()} {error}") from None


def traffic_template(body: bytes) -> bytes:
    """A traffic flow template as it came, every length inside of it checked (TS 24.008 10.5.6.12)."""
    if not 1 <= len(body) <= TFT_BYTES_MAX:
        raise bad(f"has {len(body)} octets, a TFT 1 to {TFT_BYTES_MAX}")
    operation, has_parameters, filters = body[0] >> 5, body[0] & 0x10, body[0] & 0xF
    at = 1
    if operation == 5:  # deletes filters: their identifiers alone
        at += filters
    elif operation in (1, 3, 4):
        for _ in range(filters):  # identifier and direction, precedence, length, contents
            at += 3 + (body[at + 2] if at + 2 < len(body) else TFT_BYTES_MAX)
    if at > len(body):
        raise bad("has a packet filter that runs past its end")
    while has_parameters and at < len(body):  # identifier, length, contents
        at += 2 + (body[at + 1] if at + 1 < len(body) else TFT_BYTES_MAX)
    if at != len(body):
        raise bad("has a length inside that does not fit its own")
    return body
