"""What a replay is asked to do."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from engine.wire.source import Stop

Progress = Callable[[int, int | None], None]
"""called now and then with the bytes of the captures that were read, and how many there are (or None)"""


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of one replay. Paths are as given; "-" among the captures is standard input.

    `encapsulation`: "gtp" bills G-PDUs, "ip" the outermost IP packets, "auto" the first if the beginning
    of a capture shows a G-PDU. `ue_nets` are CIDR prefixes whose every address is a SIM of the default
    plan; without them and without subscribers the configuration's are taken. `workers` is how
    many threads read and parse a pcap file, the one that meters included (None: one for each core; with 1,
    another reads ahead), `gateway` the name by which the coupon database knows this replay.
    `sessions`: "auto" follows the control messages (GTP-C) in the captures and bills by the sessions that
    they open, "ignore" takes no notice of them.
    `count` bills on another basis than the configuration's: the setting's values.
    `shaped` and `dropped` are files ("-": standard output) for the packets that left, at their departure,
    and for those that did not, with the reason; `gtp` says whether the first keeps frames as captured or
    only the IP packet inside that is charged.
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
    count: Literal["inner-ip", "outer-ip", "frame", "l4-payload"] | None = None
    workers: int | None = None
    sessions: Literal["auto", "ignore"] = "auto"
    allow_clock_leap: bool = False
    shaped: str | None = None
    dropped: str | None = None
    gtp: Literal["keep", "strip"] = "keep"
    progress: Progress | None = None
    stop: Stop | None = None
