"""Every exception of the program, with the exit status that the command turns it into."""


class PktollError(Exception):
    """Something went wrong while running; its text is one line: what, where, what to do."""

    exit_status = 1


class UsageError(PktollError):
    """The command or the API was called in a way that makes no sense."""

    exit_status = 2


class ConfigError(PktollError):
    """A configuration, subscriber or event file is wrong; the text has one line per fault."""

    exit_status = 3


class CaptureError(PktollError):
    """A capture cannot be read (further).

    `offset` is the byte offset in the (decompressed) stream at which reading stopped.
    """

    exit_status = 4

    def __init__(self, message: str, offset: int = 0) -> None:
        super().__init__(message)
        self.offset = offset


class OutputError(PktollError):
    """A file of packets cannot be written; `exit_status` says whether that was asked in the wrong way."""

    def __init__(self, message: str, exit_status: int = PktollError.exit_status) -> None:
        super().__init__(message)
        self.exit_status = exit_status


class PoolError(PktollError):
    """The coupon database refuses or cannot be used."""


class PoolUnavailable(PoolError):
    """The coupon database does not answer, or not in time; asking again later may work."""


class PoolFenced(PoolError):
    """Another gateway has taken over from this one: nothing that this one says counts any more."""


class RefusedError(PktollError):
    """A rule of the service does not allow it; the text names the rule in plain words. Nothing changed."""


class LedgerError(PktollError):
    """The books do not add up; the text names the row."""

    exit_status = 6


class ServiceError(PktollError):
    """The service refuses a request; `code` says in which way (see engine.service.protocol).

    `request_id` is below 0 where the request had none that could be read.
    """

    def __init__(self, code: str, message: str, request_id: int = -1) -> None:
        super().__init__(message)
        self.code = code
        self.request_id = request_id


class SignallingError(PktollError):
    """A GTP-C message that cannot be taken; what is known of its header, and the cause to answer with.

    `version` and `message_type` are 0 where not even those could be read; `cause` is one of the version's
    own (TS 29.274 8.4, TS 29.060 7.7.1), 0 where nothing may be answered; `reason` names a drop
    ("short", "version", "len", …) for the counters.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        version: int = 0,
        message_type: int = 0,
        teid: int | None = None,
        sequence: int | None = None,
        cause: int = 0,
        offending: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.version = version
        self.message_type = message_type
        self.teid = teid
        self.sequence = sequence
        self.cause = cause
        self.offending = offending


class AttachError(RefusedError, UsageError):
    """A SIM may not attach; `reason` is "unknown" (no such SIM), "suspended", "replaced" (the card, or it
    was lost), "ended" (line or contract, or not begun yet) or "no-ipv6" (the option is not booked)."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
