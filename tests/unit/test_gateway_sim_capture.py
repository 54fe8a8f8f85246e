"""The generator's captures: the same every time, in order, and right to the last checksum."""

import hashlib
import io
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from scapy.layers.inet import IP
from scapy.layers.l2 import Ether

import gateway_sim
from gateway_sim.scenario import Scenario
from gateway_sim.traffic import packets as traffic
from gateway_sim.traffic import plan
from gateway_sim.traffic.draw import Draw
from gateway_sim.traffic.flows import Flows
from gateway_sim.traffic.generate import generate
from gateway_sim.traffic.stamp import fold
from tests.support.scenarios import POPULATION, SMALL, write


class Frame(NamedTuple):
    """A record of a capture."""

    time_ns: int
    data: bytes


def frames(capture: bytes) -> Iterator[Frame]:
    """Records of a little-endian pcap with nanosecond stamps, read without the engine."""
    assert struct.unpack("<IHHiIII", capture[:24]) == (0xA1B23C4D, 2, 4, 0, 0, 262_144, 1)
    at = 24
    while at < len(capture):
        seconds, nanos, held, length = struct.unpack_from("<IIII", capture, at)
        assert held == length
        assert nanos < 10**9
        yield Frame(seconds * 10**9 + nanos, capture[at + 16 : at + 16 + held])
        at += 16 + held
    assert at == len(capture)


def total(data: bytes) -> int:
    """The ones' complement sum of RFC 1071; 0xFFFF over data that hold their own checksum."""
    data += b"\0" * (len(data) % 2)
    result: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while result >> 16:
        result = (result & 0xFFFF) + (result >> 16)
    return result


def made(scenario: Scenario, chunk_packets: int = traffic.CHUNK_PACKETS) -> bytes:
    target = io.BytesIO()
    generate(scenario, target, chunk_packets)
    return target.getvalue()


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    text = SMALL + POPULATION.replace('"dns"', '"web"').replace(
        'kind = "web"', 'kind = "mail"\n  every_s = 100\n  burst_bytes = 9_000'
    )
    return gateway_sim.load(write(tmp_path_factory.mktemp("sim"), text))


@pytest.fixture(scope="module")
def capture(scenario: Scenario) -> bytes:
    return made(scenario)


def test_the_same_scenario_gives_the_same_bytes(scenario: Scenario, capture: bytes) -> None:
    """G8: on every machine, whatever is written at once; a change of these bytes is a change of all
    captures that are made by name."""
    assert made(scenario) == capture
    assert made(scenario, 1) == capture
    assert made(scenario, 977) == capture
    assert made(replace(scenario, seed=8)) != capture
    digest = hashlib.sha256(capture).hexdigest()
    assert digest == "060dbbe41ccedfeef4425107376830994726db586fba7268e4e24ded435e857e"


def test_random_integers_stay_as_they_are() -> None:
    assert Draw(1, 2, 3).below(1_000, 5).tolist() == [616, 483, 571, 86, 63]
    assert Draw(1).below(1, 3).tolist() == [0, 0, 0]


def test_frames_are_in_order_of_time(capture: bytes, scenario: Scenario) -> None:
    times = [frame.time_ns for frame in frames(capture)]
    assert times == sorted(times)
    assert scenario.start_ns <= times[0]
    assert len(times) > 1_000


def test_the_summary_counts_what_was_written(scenario: Scenario, tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    summary = gateway_sim.generate(scenario, path)
    written = list(frames(path.read_bytes()))
    assert summary.packets == len(written)
    assert summary.file_bytes == path.stat().st_size
    assert summary.inner_bytes == sum(len(frame.data) - 50 for frame in written)


def test_every_length_and_checksum_is_right(capture: bytes) -> None:
    """U3: 3GPP TS 29.281 5.1, RFC 791, RFC 8200, RFC 768, RFC 9293"""
    kinds: Counter[tuple[int, int]] = Counter()
    for _, data in frames(capture):
        outer, udp, gtp, inner = data[14:34], data[34:42], data[42:50], data[50:]
        assert data[12:14] == b"\x08\x00"
        assert total(outer) == 0xFFFF
        assert struct.unpack(">H", outer[2:4])[0] == len(data) - 14
        assert struct.unpack(">HHHH", udp) == (2152, 2152, len(data) - 34, 0)
        assert (gtp[:2], struct.unpack(">H", gtp[2:4])[0]) == (b"\x30\xff", len(inner))
        if inner[0] >> 4 == 4:
            assert total(inner[:20]) == 0xFFFF
            assert struct.unpack(">H", inner[2:4])[0] == len(inner)
            protocol, upper, ends = inner[9], inner[20:], inner[12:20]
        else:
            assert struct.unpack(">H", inner[4:6])[0] == len(inner) - 40
            protocol, upper, ends = inner[6], inner[40:], inner[8:40]
        assert total(ends + struct.pack(">HH", protocol, len(upper)) + upper) == 0xFFFF
        kinds[inner[0] >> 4, protocol] += 1
    assert set(kinds) == {(4, 6), (4, 17), (6, 6)}


def test_addresses_and_teids_are_the_lines(capture: bytes) -> None:
    """N6, N7: uplink from the terminal to the P-GW's TEID, downlink to the S-GW's."""
    seen = set()
    for _, data in frames(capture):
        packet = Ether(data)
        assert isinstance(packet[IP].src, str)
        teid = int.from_bytes(data[46:50], "big")
        inner = packet["GTP_U_Header"].payload
        seen.add((packet[IP].src, packet[IP].dst, teid, inner.src, inner.dst))
    sgw, pgw, terminal = "203.0.113.129", "203.0.113.1", "2001:db8:0:1::1"
    assert (sgw, pgw, 65_536, "10.1.0.1", "192.0.2.53") in seen
    assert (pgw, sgw, 65_537, "192.0.2.53", "10.1.0.1") in seen
    assert (sgw, pgw, 65_536, terminal, "2001:2::80") in seen
    assert (pgw, sgw, 65_537, "2001:2::80", terminal) in seen
    assert (sgw, pgw, 0x10_0002, "10.64.0.1", "198.18.0.80") in seen
    assert len(seen) == 4 + 2 * 6


def test_tcp_numbers_leave_no_gap(capture: bytes) -> None:
    """RFC 9293: each segment begins where the last one ended, and acknowledges what has come."""
    sent: dict[tuple[bytes, bytes], int] = {}
    for _, data in frames(capture):
        inner = data[50:]
        v6 = inner[0] >> 4 == 6
        protocol, header = (inner[6], 40) if v6 else (inner[9], 20)
        if protocol != 6:
            continue
        tcp = inner[header:]
        ends = inner[8:40] if v6 else inner[12:20]
        half = len(ends) // 2
        here = (ends[:half] + tcp[0:2], ends[half:] + tcp[2:4])
        seq, ack = struct.unpack(">II", tcp[4:12])
        assert seq == sent.get(here, 0)
        if tcp[13] & 0x10:
            assert ack == sent.get(here[::-1], 0)
        sent[here] = seq + len(tcp) - 20 + (tcp[13] & 0x02 == 2)
    assert len(sent) == 2 * 7


def test_dns_answers_carry_the_number_of_the_question(capture: bytes) -> None:
    """RFC 1035 4.1.1"""
    words = [data[78:82] for _, data in frames(capture) if data[59] == 17 and data[50] >> 4 == 4]
    numbers = {
        bytes([flag]): [w[:2] for w in words if w[2:3] == bytes([flag])] for flag in (1, 0x81)
    }
    assert numbers[b"\x01"] == numbers[b"\x81"] == [n.to_bytes(2, "big") for n in range(80)]


def test_checksum_of_known_words() -> None:
    """RFC 1071 3"""
    totals = np.array([0x0001 + 0xF203 + 0xF4F5 + 0xF6F7, 2 * 0xFFFF])
    assert fold(totals).tolist() == [0xFFFF - 0xDDF2, 0]


def test_a_udp_checksum_is_never_zero() -> None:
    """RFC 768: zero would mean that there is none."""
    from gateway_sim.traffic.stamp import _stamp_udp

    words = np.zeros((1, 64), np.uint16)
    base = np.array([0xFFFF - 12 - 12])  # makes the sum of all words 0xFFFF
    columns = (np.array([n]) for n in (0, 0, 32, 0))
    _stamp_udp(words, traffic.Packets(*columns), np.array([0]), base, v6=False)
    assert words[0, 33 + 10 + 3] == 0xFFFF


def test_payload_is_never_shorter_than_its_first_words(tmp_path: Path) -> None:
    """A datagram has room for its number however small the scenario wants it."""
    text = SMALL.replace('server = "dns"', 'server = "dns"\n    burst_bytes = 25\n    every_s = 1')
    for _, data in frames(made(gateway_sim.load(write(tmp_path, text)))):
        if data[50] >> 4 == 4:
            assert len(data) >= 50 + 28 + plan.PAYLOAD_BYTES_MIN


def test_packets_come_in_small_chunks_after_quiet_times(tmp_path: Path) -> None:
    """Bounded memory, and a scenario in which nothing happens for a while."""
    text = SMALL.replace("1200", "3600").replace("07:05:00.5", "07:25:00").replace("07:15", "07:45")
    text = text.replace('kind = "dns"', 'kind = "dns"\n    from = 07:30:00\n    to = 07:31:00')
    quiet = gateway_sim.load(write(tmp_path, text))
    chunks = list(traffic.packets(quiet, 50))
    assert max(chunk.slot.size for chunk in chunks) == 50
    assert chunks[0].time_ns[0] >= quiet.start_ns + 25 * 60 * 10**9
    assert sum(chunk.slot.size for chunk in chunks) == len(list(frames(made(quiet))))


def test_a_download_goes_on_at_its_rate(tmp_path: Path) -> None:
    """80 kbit/s: bursts of 10 000 bytes begin a second apart, without a gap between slabs."""
    text = SMALL.replace('"browse"', '"download"').replace(
        "= 9000", "= 10_000\n    rate_bps = 80_000"
    )
    (_, download) = gateway_sim.load(write(tmp_path, text)).flows()[1]
    flows = Flows([download])
    windows = plan.portions(flows, download.begin_ns - 300_500_000_000, download.end_ns)
    made = [plan.plan(7, flows, download.begin_ns - 300_500_000_000, each) for each in windows]
    starts = np.concatenate(
        [part.start_ns[(part.slot == 1) & (part.size_bytes == 1_400)] for part in made]
    )
    assert starts.size == 600  # the last begins 599 s after the first, half a second before the end
    assert set(np.diff(starts).tolist()) == {10**9}


def test_bursts_are_the_same_in_whatever_portions_they_are_planned(
    scenario: Scenario, capture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bounded memory: the portions are made of the number of bursts, and change nothing."""
    flows = Flows.of(scenario)
    assert len(list(plan.portions(flows, scenario.start_ns, scenario.end_ns))) == 2
    monkeypatch.setattr(plan, "BURSTS_MAX", 16)
    assert len(list(plan.portions(flows, scenario.start_ns, scenario.end_ns))) == 16
    assert made(scenario) == capture


def test_a_disk_that_fills_up_stops_the_generator(scenario: Scenario) -> None:
    """What the writing thread meets is raised where packets are made, before the scenario's end."""

    class Disk(io.BytesIO):
        def write(self, data: object) -> int:
            if self.tell() > 200_000:
                raise OSError(28, "No space left on device")
            return super().write(bytes(memoryview(data))[:70_001])  # type: ignore[arg-type]

    for chunk_packets in (50, 100_000):  # the last of many pages, or the only one
        disk = Disk()
        with pytest.raises(OSError, match="No space left"):
            generate(scenario, disk, chunk_packets)
        assert 200_000 < disk.tell() < 300_000
        assert disk.getvalue() == made(scenario)[: disk.tell()]
