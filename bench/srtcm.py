"""DPDK's srTCM (RFC 2697) in virtual time: what its rounding of a rate to bytes a period comes to."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from bench import streams
from bench.rounds import BUILD
from bench.windows import BIT_NS_PER_BYTE, fullest

SECONDS = 10
BURST_BYTES = 15_000
SIZE_BYTES = 1_500


@dataclass(frozen=True)
class Srtcm:
    """What DPDK's srTCM makes of a rate: `bytes` of tokens every `ticks` of a clock of 1 GHz.

    `rounding_ppm` is exact, from those two; `seen_ppm` that of the packets that were green in `seconds`.
    """

    rate_bps: int
    ticks: int
    bytes: int
    rounding_ppm: float
    seen_ppm: float
    seconds: int
    over_bytes: float


def measure(rate_bps: int, seconds: int = SECONDS) -> Srtcm:
    """DPDK's srTCM at a rate, after a year of uptime, in virtual time. Its program has to be built."""
    packets = 2 * rate_bps * seconds // (8 * SIZE_BYTES)
    start_ns = streams.UPTIME_NS["1 year"]
    words = (rate_bps, BURST_BYTES, SIZE_BYTES, start_ns, packets)
    command = [str(BUILD / "meter_rate"), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    step, *lines = done.stdout.splitlines()
    ticks, size = map(int, step.split())
    green = [int(line) - start_ns for line in lines]
    return judge(rate_bps, (ticks, size), green, seconds)


def judge(rate_bps: int, step: tuple[int, int], green_ns: Sequence[int], seconds: int) -> Srtcm:
    """The figures of a marker from its step and the times at which packets were green."""
    ticks, size = step
    rounded_bps = Fraction(size * BIT_NS_PER_BYTE, ticks)
    queued = [time_ns for time_ns in green_ns if time_ns > 0]
    sent = (len(queued) - 1) * SIZE_BYTES * BIT_NS_PER_BYTE
    seen_bps = Fraction(sent, queued[-1] - queued[0])
    sizes = [SIZE_BYTES] * len(green_ns)
    worst = fullest(green_ns, sizes, rate_bps, BURST_BYTES)
    return Srtcm(
        rate_bps,
        ticks,
        size,
        float((rounded_bps / rate_bps - 1) * 10**6),
        float((seen_bps / rate_bps - 1) * 10**6),
        seconds,
        float(worst.over_bytes),
    )
