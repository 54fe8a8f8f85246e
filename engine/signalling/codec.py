"""A GTP-C datagram to `Message` and back; the first octet, or the message, says which version it is."""

from collections.abc import Container

from engine.errors import SignallingError, UsageError
from engine.signalling import gtpv1_read, gtpv1_write, gtpv2_read, gtpv2_write
from engine.signalling.causes import Cause, number
from engine.signalling.messages import Message

NOT_FOLLOWED = frozenset(
    (
        "ambr_kbps",
        "apn_restriction",
        "charging_id",
        "imei",
        "indication",
        "location",
        "network",
        "options",
        "qci",
        "qos",
        "selection_mode",
        "tft",
    )
)
"""fields of a message, and of its bearers, that say nothing of which session has which ends"""


def decode(data: bytes, strict: bool = True, skip: Container[str] = ()) -> Message:
    """The message in a datagram.

    With `strict` every element that is read must be well formed, and what a request or an answer must
    carry must be there (TS 29.274 7.7, TS 29.060 11.1); the error then has the cause to answer with.
    Without, for captures, an element that is not well formed counts as absent and nothing is missed; that
    also helps to find whom to tell of a refusal. `skip`: fields of the message that are not read, such as
    `NOT_FOLLOWED`.

    SignallingError of `reason` "short", "version", "proto", "len", "piggyback", "ie_len", "ie_count",
    "ie_depth", "ext_len", "ext_count"; with `strict` also "noseq", "noteid", "ext_required", "ie_type",
    "ie_value", "ie_missing", "pdn_type".
    """
    if not data:
        raise SignallingError("the datagram is empty", reason="short")
    version = data[0] >> 5
    if version == 2:
        return gtpv2_read.decode(data, strict, skip)
    if version == 1 and data[0] & 0x10:
        return gtpv1_read.decode(data, strict, skip)
    if version > 2:
        raise SignallingError(
            f"version {version} is not known",
            reason="version",
            version=version,
            cause=number(2, Cause.VERSION),
        )
    if data[0] & 0x10:
        raise SignallingError("version 0 is not served", reason="version")
    raise SignallingError("GTP' is not served", reason="proto", version=version)


def encode(message: Message) -> bytes:
    """The datagram of a message of version 1 or 2; UsageError where a value does not fit."""
    try:
        if message.version == 2:
            return gtpv2_write.encode(message)
        if message.version == 1:
            return gtpv1_write.encode(message)
    except ValueError as error:  # of bytes(): a cause, a QCI, an identifier beyond 255
        raise UsageError(f"a value of the message does not fit its octet: {error}") from None
    raise UsageError(f"there is no version {message.version} of GTP-C here")
