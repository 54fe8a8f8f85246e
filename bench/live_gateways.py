"""The gateways of the live benchmark, each in its place: pktoll, osmo-ggsn, and the floors in C."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.live_place import (
    APN,
    CONTROL,
    DEVICE_ADDRESS,
    POOL,
    READY_S,
    SGI,
    USER,
    Place,
    Tunnel,
    attach,
    imsi_of,
    run,
)
from bench.rounds import BUILD

DEVICE = "sgi0"
DOWN = {"tun": "ip", "udp": "sgi"}
"""the sender's way for what goes down, by kind of SGi side"""
QUEUE_PACKETS = 4096
"""of the TUN devices of the others; pktoll's has as many. With the system's 500 they lose more"""
LINES_A_CONTRACT = 10

SETTINGS = """
default_plan = "bench"
[access]
pool4 = ["10.64.0.0/16"]
pool6 = []
echo_s = 0
[pool]
threshold_bytes = 8_388_608
watermark_bytes = {watermark_bytes}
[[plan]]
name = "bench"
title = "As fast as it goes"
sims_max = 10
bundle_bytes = 1_073_741_824
high_down_bps = 10_000_000_000
high_up_bps = 10_000_000_000
restriction_bytes = 384_000_000
"""
"""No session has its own echo, and none is slow: the policy is all there, and decides for every packet."""
CONTRACT = """
[[contract]]
code = "hdd{number:08}"
plan = "bench"
started = 2013-11-01
  [[contract.coupon]]
  kind = "bundle"
  bytes = 1_000_000_000_000_000
  expires = "2100-12"
"""
LINE = """
  [[contract.line]]
  code = "hdo{number:08}"
  imsi = "{imsi}"
  coupon = true
  balance_bytes = {balance_bytes}
"""
ALL_ON_SIM_BYTES = 10**15
"""byte; on a SIM that is alone, and announced at once: at 30 times the speed that a plan allows, it would
want 40 slices and 800 announcements a second"""
OSMO = """\
log stderr
 logging filter all 1
 logging level set-all error
ggsn ggsn0
 gtp state-dir {folder}
 gtp bind-ip {address}
 apn {apn}
  gtpu-mode tun
  tun-device {device}
  type-support v4
  ip prefix dynamic {pool}
  ip ifconfig {device_address}
  no shutdown
 default-apn {apn}
 no shutdown ggsn
"""


class Gateway(NamedTuple):
    """One that runs: its process, its sessions, and the sender's way for what goes down."""

    process: int
    tunnels: list[Tunnel]
    down: str


def subscribers(path: Path, count: int) -> None:
    """Lines 1 to `count`, ten a contract."""
    text = ""
    for number in range(1, count + 1):
        if number % LINES_A_CONTRACT == 1:
            text += CONTRACT.format(number=number // LINES_A_CONTRACT + 1)
        balance_bytes = 0 if count > 1 else ALL_ON_SIM_BYTES
        text += LINE.format(number=number, imsi=imsi_of(number), balance_bytes=balance_bytes)
    path.write_text(text)


@contextmanager
def pktoll(
    sgi: str, place: Place, count: int, core: int, folder: Path, *, durable: bool = False
) -> Iterator[Gateway]:
    """`pktoll serve` with quota, limiter, exempt list and counters; `sgi`: "tun" or "udp"."""
    settings, lines, ready = folder / "settings.toml", folder / "lines.toml", folder / "ready.json"
    watermark_bytes = 1 << 20 if count > 1 else ALL_ON_SIM_BYTES
    settings.write_text(SETTINGS.format(watermark_bytes=watermark_bytes))
    subscribers(lines, count)
    words = [sys.executable, "-m", "engine", "serve", "-q", "--config", settings]
    words += ["--subscribers", lines, "--ready-file", ready, "--beyond-loopback"]
    words += ["--gtp-c", f"{place.far}:{CONTROL}", "--gtp-u", f"{place.far}:{USER}"]
    ends = f"udp:{place.far}:{SGI},{place.near}:{SGI}"
    words += ["--sgi", f"tun:{DEVICE}" if sgi == "tun" else ends]
    words += ["--report", folder / "report.json"]
    if durable:
        words += ["--pool", f"sqlite:///{folder}/coupons.db"]
    with place.running(place.inside, words, core, folder / "pktoll.log") as process:
        wait(process, ready.exists, folder / "pktoll.log")
        tunnels = attach(place, count)
        yield Gateway(process.pid, tunnels, DOWN[sgi])
    check(folder / "report.json")


def check(report: Path) -> None:
    """A round in which the policy held packets back says nothing of the gateway's speed."""
    found = json.loads(report.read_text())
    totals, drops = found["totals"], found["drops"]
    if totals["slow_bytes"] or drops:
        slow = totals["slow_bytes"]
        print(f"bench: pktoll: {slow} bytes slow, drops {drops}", file=sys.stderr)


@contextmanager
def osmo_ggsn(place: Place, count: int, core: int, folder: Path) -> Iterator[Gateway]:
    """Debian's osmo-ggsn, which forwards between GTP-U and its TUN device and has no policy."""
    config = folder / "osmo-ggsn.cfg"
    config.write_text(
        OSMO.format(
            folder=folder,
            address=place.far,
            apn=APN,
            device=DEVICE,
            pool=POOL,
            device_address=DEVICE_ADDRESS,
        )
    )
    log = folder / "osmo-ggsn.log"
    words = ["osmo-ggsn", "-c", config]
    with place.running(place.inside, words, core, log) as process:
        wait(process, lambda: answers(place), log)
        run("ip", "-n", place.inside, "link", "set", DEVICE, "txqueuelen", QUEUE_PACKETS)
        yield Gateway(process.pid, attach(place, count), DOWN["tun"])


@contextmanager
def floor(sgi: str, place: Place, count: int, core: int, folder: Path) -> Iterator[Gateway]:
    """The program in C that only moves packets."""
    near, far = place.near, place.far
    if sgi == "tun":
        ends = ["tun", DEVICE]
    else:
        ends = ["udp", f"{far}:{SGI}", f"{near}:{SGI}"]
    words = [BUILD / "live_floor", *ends, f"{far}:{USER}", f"{near}:{USER}"]
    log = folder / "floor.log"
    with place.running(place.inside, words, core, log) as process:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise SystemExit(f"bench: {log.read_text()}")
        if sgi == "tun":
            run("ip", "-n", place.inside, "link", "set", DEVICE, "up", "txqueuelen", QUEUE_PACKETS)
            run("ip", "-n", place.inside, "address", "add", DEVICE_ADDRESS, "dev", DEVICE)
        tunnels = [Tunnel(n, f"10.64.{n >> 8}.{n & 255}") for n in range(2, count + 2)]
        yield Gateway(process.pid, tunnels, DOWN[sgi])


def answers(place: Place) -> bool:
    """Whether somebody answers an Echo Request of version 1."""
    with place.udp(CONTROL) as sock:
        sock.settimeout(0.1)
        try:
            sock.sendto(bytes.fromhex("320100040000000000010000"), (place.far, CONTROL))
            return sock.recv(2_048)[1] == 2
        except OSError:
            return False


def wait(process: "subprocess.Popen[str]", is_ready: Callable[[], bool], log: Path) -> None:
    """Until the gateway serves."""
    end = time.monotonic() + READY_S
    while not is_ready():
        if process.poll() is not None or time.monotonic() > end:
            raise SystemExit(f"bench: {log.stem} does not serve: {log.read_text()[-2_000:]}")
        time.sleep(0.05)


def has_osmo_ggsn() -> bool:
    """Whether Debian's osmo-ggsn is installed."""
    return shutil.which("osmo-ggsn") is not None
