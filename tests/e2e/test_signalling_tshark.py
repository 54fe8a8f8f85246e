"""What tshark makes of every message that is written: no complaint, and the values that were meant."""

import os
import subprocess
from pathlib import Path

import pytest

from engine.signalling.causes import NUMBERS
from engine.signalling.codec import encode
from engine.signalling.messages import Message
from tests.support.gtpc_truth import Row, check
from tests.support.packets import ethernet, pcap, tunnel
from tests.support.signalling import CREATE1, CREATE2, EVERY
from tests.support.tshark import fields, need_tshark

COLUMNS = (
    *("gtpv2.message_type", "gtpv2.teid", "gtpv2.seq", "gtpv2.cause", "e212.imsi", "e164.msisdn"),
    *("gtpv2.apn", "gtpv2.rat_type", "gtpv2.pdn_type", "gtpv2.pdn_addr_and_prefix.ipv4"),
    *("gtpv2.pdn_addr_and_prefix.ipv6", "gtpv2.f_teid_interface_type", "gtpv2.f_teid_gre_key"),
    *("gtpv2.f_teid_ipv4", "gtpv2.f_teid_ipv6", "gtpv2.ebi", "gtp.message", "gtp.teid"),
    *("gtp.seq_number", "gtp.cause", "gtp.apn", "gtp.nsapi", "gtp.teid_data", "gtp.teid_cp"),
    *("gtp.gsn_ipv4", "gtp.user_ipv4", "gtp.user_ipv6", "gsm_a.gm.sm.pco_pid", "pap.peer_id"),
    *("chap.code", "_ws.malformed", "_ws.expert"),
)


def written(path: Path, datagrams: list[bytes]) -> Path:
    path.write_bytes(pcap([ethernet(tunnel(one, port=2123)) for one in datagrams]))
    return path


def read(path: Path, home: Path) -> list[Row]:
    return [dict(zip(COLUMNS, row, strict=True)) for row in fields(path, COLUMNS, home)]


def experts(path: Path, home: Path) -> str:
    """What tshark's experts say of a whole file, on any level."""
    done = subprocess.run(
        [need_tshark(), "-n", "-r", str(path), "-q", "-z", "expert"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"HOME": str(home)},
    )
    return done.stdout.strip()


def test_every_message_is_dissected_without_a_word_from_the_experts(tmp_path: Path) -> None:
    path = written(tmp_path / "all.pcap", [encode(message) for message in EVERY])
    assert experts(path, tmp_path) == ""
    found = read(path, tmp_path)
    assert len(found) == len(EVERY)
    assert not any(row["_ws.malformed"] or row["_ws.expert"] for row in found)


def test_what_was_written_is_what_tshark_reads(tmp_path: Path) -> None:
    single = [message for message in EVERY if message.piggybacked is None]
    path = written(tmp_path / "all.pcap", [encode(message) for message in single])
    for message, row in zip(single, read(path, tmp_path), strict=True):
        check(message, row)


def test_a_piggybacked_message_is_seen_behind_the_first(tmp_path: Path) -> None:
    both = [message for message in EVERY if message.piggybacked is not None]
    path = written(tmp_path / "both.pcap", [encode(message) for message in both])
    assert [row["gtpv2.message_type"] for row in read(path, tmp_path)] == ["33,95"]


@pytest.mark.parametrize("message", [CREATE2, CREATE1], ids=["version 2", "version 1"])
def test_a_fault_that_is_planted_is_seen(message: Message, tmp_path: Path) -> None:
    """The check itself: a cut element is complained of, a changed octet is not what was meant."""
    octets = encode(message)
    cut = octets[:2] + (len(octets) - 40).to_bytes(2, "big") + octets[4:-32]
    path = written(tmp_path / "cut.pcap", [cut])
    assert experts(path, tmp_path) != ""
    changed = octets.replace(bytes.fromhex("21436587"), bytes.fromhex("21436588"), 1)
    assert changed != octets
    (row,) = read(written(tmp_path / "changed.pcap", [changed]), tmp_path)
    with pytest.raises(AssertionError):
        check(message, row)


def test_causes_have_the_numbers_that_tshark_knows(tmp_path: Path) -> None:
    """N1, N5: the causes of refusals, against the tables of another program."""
    done = subprocess.run(
        [need_tshark(), "-G", "values"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"HOME": str(tmp_path)},
    )
    tables: dict[str, dict[int, str]] = {"gtpv2.cause": {}, "gtp.cause": {}}
    for line in done.stdout.splitlines():
        cells = line.split("\t")
        if cells[0] == "V" and cells[1] in tables:
            tables[cells[1]][int(cells[2], 0)] = cells[3].lower()
    known = {
        cause.name: (tables["gtpv2.cause"][two], tables["gtp.cause"].get(one, ""))
        for cause, (two, one) in NUMBERS.items()
    }
    assert known["ACCEPTED"] == ("request accepted", "request accepted")
    assert known["NOT_FOUND"] == ("context not found", "non-existent")
    assert known["INVALID_FORMAT"] == ("invalid message format", "invalid message format")
    assert known["INVALID_LENGTH"][0] == "invalid length"
    assert known["INCORRECT"] == ("mandatory ie incorrect", "mandatory ie incorrect")
    assert known["MISSING"] == ("mandatory ie missing", "mandatory ie missing")
    assert known["NO_RESOURCES"] == ("no resources available", "no resource available")
    assert known["UNKNOWN_APN"] == ("missing or unknown apn", "missing or unknown apn")
    assert known["AUTHENTICATION"] == ("user authentication failed", "user authentication failed")
    assert known["NO_SUBSCRIPTION"][0] == "apn access denied - no subscription"
    assert known["NO_SUBSCRIPTION"][1] == "apn access denied - no subscription"
    assert known["UNKNOWN_IMSI"] == ("imsi/imei not known", "imsi not known")
    assert known["ROAMING"] == ("service denied", "roaming restriction")
    assert known["RAT_DENIED"][0] == "denied in rat"
    assert known["TYPE_NOT_SUPPORTED"][0] == "preferred pdn type not supported"
    assert known["UNKNOWN_EXTENSION"][1] == "unknown mandatory extension header"
    assert all("shall not be used" not in word for words in known.values() for word in words)
