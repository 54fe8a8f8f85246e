"""The machine formats: raw numbers, nothing lost between them."""

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console

from engine.cli.table import SIMS_SHOWN, TUNNELS_SHOWN, show, size
from engine.replay.formats import C_FIELDS, MACHINE, SIM_FIELDS, as_csv, as_json, as_jsonl

RATED = {"up_packets": 1, "up_bytes": 70, "down_packets": 2, "down_bytes": 900}
COUNTERS = {name: number for number, name in enumerate(C_FIELDS, 10_000)}


def sim(number: int, **changes: Any) -> dict[str, Any]:
    fields = {
        "code": f"hdo{number}",
        "iccid": None,
        "imsi": f"44010{number:010}",
        "msisdn": None,
        "contract": f'hdd "{number}", Ltd.\nTokyo',
        "address": "10.1.0.1",
        "rat_type": "EUTRAN",
        "up": COUNTERS,
        "down": {name: 2 * value for name, value in COUNTERS.items()},
        "grants": 1,
        "granted_bytes": 2**40 + 1,
        "balance_bytes": 0,
        "shown_balance_bytes": None,
        "coupon": True,
        "regulated": False,
        "in_service": True,
        "rating_groups": [{"rating_group": 10, **RATED}],
    }
    return fields | changes


SESSION = {"imsi": "440100000000000", "opened_ns": 1, "closed_ns": None, "tunnels": []}


def document(sims: int = 2, tunnels: int = 1, **changes: Any) -> dict[str, Any]:
    contract = dict.fromkeys(
        ("credited_bytes", "in_database_bytes", "granted_bytes", "expired_bytes"), 5
    )
    return {
        "schema": "pktoll.replay/1",
        "capture": {"files": ["ä.pcap"], "packets": 3},
        "totals": {
            **dict.fromkeys(C_FIELDS, 20_000),
            "not_user_traffic_packets": 4,
            "grants": 1,
            "granted_bytes": 2**40 + 1,
        },
        "drops": {"queue": {"packets": 3, "bytes": 900}},
        "sims": [sim(number) for number in range(sims)],
        "contracts": [{"code": f"hdd{k}", "plan": "p", **contract} for k in range(sims)],
        "rating_groups": [{"rating_group": 10, "name": "dns", **RATED}],
        "tunnels": [
            {"teid": k, "destination": "192.0.2.1", "packets": 1, "inner_bytes": 100 + k}
            for k in range(tunnels)
        ],
        "sessions": [SESSION],
        "timing": {"read_s": 0.5, "compile_s": 0.0, "process_s": 0.5, "packets_per_s": 3.0},
        **changes,
    }


def test_json_is_the_document() -> None:
    text = "".join(as_json(document()))
    assert json.loads(text) == document()
    assert text.endswith("}\n")
    assert "ä.pcap" in text


PLAIN = st.none() | st.booleans() | st.integers() | st.text()
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
NESTED = st.recursive(
    PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


@given(NESTED)
@example({"packets": 1 << 64})
@example({"files": ["\udce4.pcap"]})
def test_json_is_indented_as_pythons_own_is(value: Any) -> None:
    """for any document: empty ones, ones in others, texts with quotes, brackets, line breaks, integers of
    any size, file names that are not UTF-8"""
    wanted = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    assert "".join(as_json(value)) == wanted


@given(NUMBERS)
def test_seconds_come_back_from_json_as_they_were(value: float) -> None:
    assert json.loads("".join(as_json({"read_s": value}))) == {"read_s": value}


def test_every_line_of_jsonl_is_a_record() -> None:
    lines = [json.loads(text) for text in as_jsonl(document())]
    assert [line.pop("record") for line in lines] == [
        "capture",
        "totals",
        "drop",
        "sim",
        "sim",
        "contract",
        "contract",
        "rating_group",
        "tunnel",
        "session",
        "timing",
    ]
    made = document()
    assert lines[0] == {"schema": made["schema"], **made["capture"]}
    assert lines[2] == {"reason": "queue", **made["drops"]["queue"]}
    assert lines[3:5] == made["sims"]
    assert lines[7] == made["rating_groups"][0]
    assert lines[9] == SESSION
    assert all(text.count("\n") == 1 for text in as_jsonl(document()))


def test_csv_has_a_row_a_sim() -> None:
    """names with commas, quotes and line breaks come back as they were"""
    text = "".join(as_csv(document()))
    first, second = csv.DictReader(io.StringIO(text))
    assert len(first) == len(SIM_FIELDS) + 2 * len(C_FIELDS)
    assert (first["coupon"], first["regulated"], first["iccid"]) == ("true", "false", "")
    assert (first["contract"], second["imsi"]) == ('hdd "0", Ltd.\nTokyo', "440100000000001")
    assert first["granted_bytes"] == str(2**40 + 1)
    assert (first["up_packets"], first["down_packets"]) == ("10000", "20000")
    assert "\r" not in text


def test_the_machine_formats_are_these() -> None:
    assert set(MACHINE) == {"json", "jsonl", "csv"}


# --- for people ---


def shown(made: dict[str, Any], width: int = 160) -> str:
    console = Console(file=io.StringIO(), width=width)
    show(made, console)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


@pytest.mark.parametrize(
    ("count_bytes", "text"),
    [
        (0, "0 B"),
        (9_999, "9999 B"),
        (10_000, "9.77 kB"),
        (1 << 20, "1.00 MB"),
        (10 << 20, "10.00 MB"),
        (1 << 30, "1.00 GB"),
        (5 << 40, "5120.00 GB"),
    ],
)
def test_sizes_are_binary(count_bytes: int, text: str) -> None:
    """U1"""
    assert size(count_bytes) == text


def test_the_table_says_what_there_is() -> None:
    text = shown(document())
    for words in ("SIMs", "Coupon database", "Dropped, by reason", "Tunnels", "0x00000000"):
        assert words in text
    assert "other packets; 1 slices" in " ".join(text.split())


def test_the_table_leaves_out_what_there_is_not() -> None:
    text = shown(document(drops={}, tunnels=0))
    assert "Dropped, by reason" not in text
    assert "Tunnels" not in text
    assert "GTP-C" not in shown(document(sessions=[]))


def test_the_table_says_how_many_sessions_were_followed() -> None:
    """N4"""
    assert "1 session of 1 SIM followed in GTP-C; 1 still open at the end." in shown(document())
    ended = SESSION | {"closed_ns": 5}
    text = shown(document(sessions=[ended, SESSION, ended | {"imsi": "2"}]))
    assert "3 sessions of 2 SIMs followed in GTP-C; 1 still open at the end." in text


def test_a_narrow_terminal_is_shown_less() -> None:
    wide, narrow = shown(document()), shown(document(), width=70)
    assert "waited" in wide
    assert "waited" not in narrow
    assert max(map(len, narrow.splitlines())) <= 70


def test_long_lists_are_cut_and_say_so() -> None:
    text = shown(document(sims=SIMS_SHOWN + 3, tunnels=TUNNELS_SHOWN + 1))
    assert text.count("and 3 more: --format json, jsonl or csv shows all") == 2
    assert "and 1 more:" in text
    assert "0x00000000" not in text  # the least of the tunnels


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"coupon": True}, "on"),
        ({"coupon": False}, "off"),
        ({"regulated": True}, "on restricted"),
        ({"in_service": False}, "suspended"),
        ({"msisdn": "819000000001"}, "819000000001"),
        ({"imsi": None, "iccid": "8981"}, "8981"),
        ({"imsi": None}, "10.1.0.1"),
        ({"imsi": None, "address": None, "contract": "hdd7"}, "hdd7"),
        ({"up": COUNTERS | {"max_delay_ns": 1_999_999}}, "1 ms"),
        ({"up": dict.fromkeys(C_FIELDS, 0), "down": dict.fromkeys(C_FIELDS, 0)}, "-"),
    ],
)
def test_a_line_of_the_table(changes: dict[str, Any], words: str) -> None:
    """Q4"""
    made = document(sims=0, tunnels=0, drops={})
    made["sims"] = [sim(0, **changes)]
    row = row_of(made)
    assert f" {words} " in f" {row} "


def row_of(made: dict[str, Any]) -> str:
    """The one line of the table of SIMs, each gap a single space."""
    lines = [line.split() for line in shown(made).splitlines() if line.strip()]
    return " ".join(lines[3])


@pytest.mark.parametrize("name", ["[red]hdd[/red]", "hdd[/]", "[link=x]hdd"])
def test_names_are_no_markup(name: str) -> None:
    """B77: what a file calls a contract is shown as it is"""
    made = document(sims=1)
    made["sims"] = [sim(0, imsi=None, address=None, contract=name)]
    made["contracts"][0] |= {"code": name, "plan": name}
    assert row_of(made).startswith(name)
    assert shown(made).count(name) == 3
