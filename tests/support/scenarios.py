"""A small scenario with a line of its own, and a population to put behind it."""

from pathlib import Path

SMALL = """
title = "Small"
seed = 7
start = 2013-11-05T07:00:00+09:00
duration_s = 1200

[network]
sgw = "203.0.113.129"
pgw = "203.0.113.1"

[[server]]
name = "dns"
address = "192.0.2.53"
port = 53
protocol = "udp"

[[server]]
name = "web"
address = "198.18.0.80"
address6 = "2001:2::80"
port = 443

[[contract]]
code = "hdd90000001"
plan = "family-share"
started = 2013-10-01

  [[contract.coupon]]
  kind = "topup"
  bytes = 1_000_000
  expires = "2013-12"

  [[contract.line]]
  code = "hdo90000001"
  imsi = "440109000000001"
  iccid = "8981100000000000001"
  msisdn = "819000000001"
  addresses = ["10.1.0.1", "2001:db8:0:1::/64"]
  teid_up = 65536
  teid_down = 65537

    [[contract.line.activity]]
    kind = "dns"
    server = "dns"

    [[contract.line.activity]]
    kind = "browse"
    server = "web"
    ipv6 = true
    from = 07:05:00.5
    to = 07:15:00
    burst_bytes = 9000

[[event]]
at = "2013-11-05T07:10:00.000000001+09:00"
do = "switch"
line = "hdo90000001"
on = false
"""

POPULATION = """
[[population]]
contracts = 2
lines = 3
plan = "family-share"
started = 2013-10-01
network = "10.64.0.0/24"
coupon_bytes = 1_000
expires = "2013-12"
spread_s = 100

  [[population.activity]]
  kind = "dns"
  server = "dns"
"""


def write(folder: Path, text: str) -> Path:
    """The scenario file `made.toml` in a folder."""
    path = folder / "made.toml"
    path.write_text(text, encoding="utf-8")
    return path
