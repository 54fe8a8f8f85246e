"""A scenario in which all kinds of attack come down on ten lines, with control messages before them."""

from pathlib import Path

from gateway_sim.traffic.attacks import KINDS

HEAD = """
title = "Storm"
seed = 1
start = 2013-11-05T12:00:00+09:00
duration_s = 20
signalling = true

[network]
sgw = "203.0.113.129"
pgw = "203.0.113.1"

[[server]]
name = "operator-dns"
address = "192.0.2.53"
address6 = "2001:db8:53::53"
port = 53
protocol = "udp"

[[server]]
name = "web"
address = "198.18.0.80"
address6 = "2001:2::80"
port = 443

[[population]]
contracts = 5
lines = 2
plan = "family-share"
started = 2013-10-01
network = "10.64.0.0/20"
network6 = "2001:db8:8000::/40"
ipv6_percent = 50
share_3g_percent = 50
spread_s = 1

  [[population.activity]]
  kind = "dns"
  server = "operator-dns"
  every_s = 2

  [[population.activity]]
  kind = "browse"
  server = "web"
  burst_bytes = 3_000
  every_s = 5
"""
ATTACK = """
[[attack]]
kind = "{kind}"
from = 12:00:03
to = 12:00:08.5
packets_per_s = 37
"""
PACKETS_EACH = 204
"""5.5 s at 37 a second, the one that is due at the very end not among them"""


def write(
    folder: Path, *more: str, kinds: tuple[str, ...] = KINDS, old: str = "", new: str = ""
) -> Path:
    """The scenario file `storm.toml` in a folder."""
    path = folder / "storm.toml"
    attacks = [ATTACK.format(kind=kind) for kind in kinds]
    path.write_text(HEAD.replace(old, new) if old else HEAD, encoding="utf-8")
    with path.open("a", encoding="utf-8") as file:
        file.writelines([*attacks, *more])
    return path
