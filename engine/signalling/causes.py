"""Causes by one name in both versions: TS 29.274 8.4 and TS 29.060 7.7.1 number them differently."""

from enum import StrEnum

from engine.errors import SignallingError


class Cause(StrEnum):
    """Why something is done, accepted or refused; the numbers are in `NUMBERS`."""

    ACCEPTED = "request accepted"
    ACCEPTED_PARTIALLY = "request accepted partially"
    NEW_TYPE_PREFERENCE = "new PDN type, network preference"
    NEW_TYPE_SINGLE = "new PDN type, single address bearer only"
    LOCAL_DETACH = "local detach"
    REACTIVATION = "reactivation requested"
    INACTIVE = "inactivity timer expired"
    NETWORK_FAILURE = "network failure"
    NOT_FOUND = "context not found"
    INVALID_FORMAT = "invalid message format"
    VERSION = "version not supported"
    INVALID_LENGTH = "invalid length"
    NOT_SUPPORTED = "service not supported"
    INCORRECT = "mandatory IE incorrect"
    MISSING = "mandatory IE missing"
    SYSTEM_FAILURE = "system failure"
    NO_RESOURCES = "no resources available"
    NO_MEMORY = "no memory available"
    TFT_SYNTAX = "syntactic error in the TFT operation"
    UNKNOWN_APN = "missing or unknown APN"
    NO_SUBSCRIPTION = "APN access denied, no subscription"
    RAT_DENIED = "denied in this RAT"
    ROAMING = "roaming restriction"
    TYPE_NOT_SUPPORTED = "PDN type not supported"
    NO_ADDRESS = "all dynamic addresses are occupied"
    AUTHENTICATION = "user authentication failed"
    DENIED = "service denied"
    REJECTED = "request rejected"
    UNKNOWN_IMSI = "IMSI not known"
    PEER_SILENT = "remote peer not responding"
    APN_CONGESTION = "APN congestion"
    UNKNOWN_EXTENSION = "unknown mandatory extension header"


# Where a version has no number of its own for a cause, it has that of the nearest: version 2 knows no
# roaming restriction and no extension headers, version 1 no causes for RAT, denied service and length.
NUMBERS: dict[Cause, tuple[int, int]] = {  # version 2, version 1
    Cause.ACCEPTED: (16, 128),
    Cause.ACCEPTED_PARTIALLY: (17, 128),
    Cause.NEW_TYPE_PREFERENCE: (18, 129),
    Cause.NEW_TYPE_SINGLE: (19, 130),
    Cause.LOCAL_DETACH: (2, 8),
    Cause.REACTIVATION: (8, 6),
    Cause.INACTIVE: (11, 7),
    Cause.NETWORK_FAILURE: (13, 8),
    Cause.NOT_FOUND: (64, 192),
    Cause.INVALID_FORMAT: (65, 193),
    Cause.VERSION: (66, 198),
    Cause.INVALID_LENGTH: (67, 193),
    Cause.NOT_SUPPORTED: (68, 200),
    Cause.INCORRECT: (69, 201),
    Cause.MISSING: (70, 202),
    Cause.SYSTEM_FAILURE: (72, 204),
    Cause.NO_RESOURCES: (73, 199),
    Cause.NO_MEMORY: (91, 212),
    Cause.TFT_SYNTAX: (75, 216),
    Cause.UNKNOWN_APN: (78, 219),
    Cause.NO_SUBSCRIPTION: (93, 222),
    Cause.RAT_DENIED: (82, 200),
    Cause.ROAMING: (89, 205),
    Cause.TYPE_NOT_SUPPORTED: (83, 220),
    Cause.NO_ADDRESS: (84, 211),
    Cause.AUTHENTICATION: (92, 209),
    Cause.DENIED: (89, 200),
    Cause.REJECTED: (94, 204),
    Cause.UNKNOWN_IMSI: (96, 194),
    Cause.PEER_SILENT: (100, 204),
    Cause.APN_CONGESTION: (113, 229),
    Cause.UNKNOWN_EXTENSION: (65, 214),
}

_ACCEPTING = {2: range(16, 64), 1: range(128, 192)}

# The cause with which a request is answered whose reading failed for this reason; for the reasons that
# are not here ("short", "version", "proto", "noseq", "piggyback") nothing is answered.
_BY_REASON = {
    "len": Cause.INVALID_LENGTH,
    "ie_len": Cause.INVALID_LENGTH,
    "ie_value": Cause.INCORRECT,
    "ie_missing": Cause.MISSING,
    "ie_count": Cause.INVALID_FORMAT,
    "ie_depth": Cause.INVALID_FORMAT,
    "ie_type": Cause.INVALID_FORMAT,
    "pdn_type": Cause.TYPE_NOT_SUPPORTED,
    "noteid": Cause.INVALID_FORMAT,
    "ext_len": Cause.INVALID_FORMAT,
    "ext_count": Cause.INVALID_FORMAT,
    "ext_required": Cause.UNKNOWN_EXTENSION,
}


def number(version: int, cause: Cause) -> int:
    """The number of a cause in a version (1 or 2)."""
    return NUMBERS[cause][0 if version == 2 else 1]


def named(version: int, value: int) -> Cause | None:
    """The cause behind a number of a version, the first of those that share it; None: not one of ours."""
    at = 0 if version == 2 else 1
    return next((cause for cause, numbers in NUMBERS.items() if numbers[at] == value), None)


def accepted(version: int, value: int | None) -> bool:
    """Whether an answer with this number accepts the request, wholly or in part."""
    return value is not None and value in _ACCEPTING[version]


def located(
    error: SignallingError,
    version: int,
    message_type: int,
    teid: int | None,
    sequence: int | None,
    is_request: bool,
) -> SignallingError:
    """The error of a reader, with the header of its message; only a request may be answered."""
    error.version, error.message_type = version, message_type
    error.teid, error.sequence = teid, sequence
    cause = _BY_REASON.get(error.reason)
    error.cause = number(version, cause) if cause is not None and is_request else 0
    return error
