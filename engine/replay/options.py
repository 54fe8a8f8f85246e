"""What a replay is asked to do."""

from collections.abc import Callable
from dataclasses import dataclass

from engine.wire.source import Stop

Progress = Callable[[int, int | None], None]
"""called now and then with the bytes of the captures that were read, and how many there are (or None)"""


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of one replay. Paths are as given; "-" among the captures is standard input.

    `encapsulation`: "gtp" bills G-PDUs, "ip" the outermost IP packets, "auto" the first if the beginning
    of a capture shows a G-PDU. `ue_nets` are CIDR prefixes whose every address is a SIM of the default
    plan; without them and without subscribers the configuration's are taken. `workers` is the number
    of shards that are metered at once, `gateway` the name by which the coupon database knows this replay.
    Once `stop` is asked for, the captures are at their end.
    """

    captures: tuple[str, ...]
    config: str | None = None
    subscribers: str | None = None
    events: str | None = None
    pool: str | None = None
    gateway: str = "replay"
    ue_nets: tuple[str, ...] = ()
    encapsulation: str = "auto"
    workers: int = 1
    allow_clock_leap: bool = False
    progress: Progress | None = None
    stop: Stop | None = None
