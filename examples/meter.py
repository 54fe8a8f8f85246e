"""A packet gateway in twenty lines: one SIM, a thousand packets, its coupon switched off in between."""

import numpy as np

from engine import Engine, verdict
from engine.layout import PACKET, PACKET_GTP, V4_MAPPED

NOON_NS = 1_383_620_400 * 10**9  # 2013-11-05 12:00 in Japan
MS = 10**6
TERMINAL = V4_MAPPED | 10 << 24 | 1 << 16 | 1  # 10.1.0.1 as the lower half of ::ffff:10.1.0.1
SERVER = V4_MAPPED | 198 << 24 | 18 << 16 | 80


def uplink(count: int, at_ns: int) -> np.ndarray:
    """`count` G-PDUs of 1 000 bytes, a millisecond apart."""
    batch = np.zeros(count, PACKET)
    batch["time_ns"] = at_ns + MS * np.arange(count)
    batch["src_lo"], batch["dst_lo"] = TERMINAL, SERVER
    batch["flags"], batch["teid"], batch["endpoint"] = PACKET_GTP, 65536, -1
    batch["length"], batch["protocol"] = 1_000, 17
    return batch


def main() -> None:
    """Meter, switch, meter again."""
    with Engine.open() as gateway:
        line = gateway.attach(
            imsi="440100000000001", teid_up=65536, address="10.1.0.1", at_ns=NOON_NS
        )
        for on in (True, False):
            gateway.switch_coupon(line, on=on, at_ns=gateway.now_ns)
            verdicts = gateway.process(uplink(500, gateway.now_ns))
            names, counts = np.unique(verdicts["code"], return_counts=True)
            for code, packets in zip(names.tolist(), counts.tolist(), strict=True):
                print(f"coupon {'on' if on else 'off'}: {packets} packets {verdict.NAMES[code]}")
        report = gateway.line_report(line)
        print(f"left on the SIM: {report['balance_bytes']} bytes of {report['granted_bytes']}")


if __name__ == "__main__":
    main()
