"""The indexes of a subscriber table: keys whose tags are the same, large tables, and those of a bench."""

from pathlib import Path

import numpy as np

from bench import sims_table
from engine.runtime import Engine
from engine.subscribers import Line
from engine.subscribers.table import SubscriberTable
from engine.subscribers.table_index import (
    claims_of,
    fill_contracts,
    fill_lines,
    find_contract,
    find_line,
)
from engine.subscribers.table_keys import BY_CODE, free_index, home, spread, tag
from tests.support.gateway import Rows, gateway, packet, play
from tests.support.simstable import SETTINGS

COUNT = 300


def made(path: Path, count: int = COUNT, per_contract: int = 1) -> SubscriberTable:
    sims_table.write(path, count, per_contract)
    return SubscriberTable(path, SETTINGS)


def forged(words: Rows) -> Rows:
    """An index in whose place for this key another record, 0, stands with the same tag."""
    index = free_index(16)
    h = int(spread(np.int64(words[0]), np.int64(words[1])))
    index[int(home(h, len(index)))] = tag(h), 0
    return index


def test_keys_with_the_same_tag_are_told_apart(tmp_path: Path) -> None:
    table = made(tmp_path / "lines.sims")
    out = np.zeros(2, dtype=np.int64)
    # Records 0 and 1 here are lines, and contracts, 7 and 8 of the table.
    lines, contracts = table.lines[7:9], table.contracts[7:9]
    words = lines["code"][1]
    index = forged(words)
    assert find_line(lines, BY_CODE, index, words[0], words[1]) == -1
    assert fill_lines(lines, BY_CODE, index, out)
    assert find_line(lines, BY_CODE, index, words[0], words[1]) == 1
    words = contracts["code"][1]
    index = forged(words)
    assert find_contract(contracts, index, words[0], words[1]) == -1
    assert fill_contracts(contracts, index, out)
    assert find_contract(contracts, index, words[0], words[1]) == 1


def test_a_full_cluster_goes_round_the_end() -> None:
    index = free_index(4)
    teids = np.array([teid for teid in range(1, 500) if home(spread(teid, 0), len(index)) == 5])
    assert len(index) == 6
    index[5], index[0] = (int(teids[0]), 14), (int(teids[0]), 17)
    out = np.zeros(1, dtype=np.int64)
    assert claims_of(index, teids[0], out) == 2
    assert out[0] == 14
    assert claims_of(index, teids[1], out) == 0


def test_a_table_made_of_records_is_found_by_everything(tmp_path: Path) -> None:
    table = made(tmp_path / "lines.sims")
    assert (len(table.lines), len(table.contracts)) == (COUNT, COUNT)
    assert table.line(0x12) == Line(
        "hdo00000018",
        imsi="440100000000018",
        iccid="8981030000000000018",
        msisdn="09000000018",
        addresses=("10.0.0.18",),
        teid_up=0x10024,
        teid_down=0x10025,
    )
    assert table.line(100).addresses == ("10.0.0.100", "2001:db8:0:65::/64")
    for at in range(COUNT):
        line = table.line(at)
        for name in (line.code, line.imsi, line.iccid):
            assert name is not None
            assert table.find_line(name) == at


def test_pieces_of_records_follow_each_other(tmp_path: Path) -> None:
    whole = made(tmp_path / "whole.sims", 50, 3)
    assert (len(whole.lines), len(whole.contracts)) == (51, 17)
    assert [line.code for line in whole.contract(16).lines] == [
        f"hdo{at:08}" for at in (48, 49, 50)
    ]


def test_the_last_of_many_wakes_alone(tmp_path: Path) -> None:
    engine: Engine = gateway(settings=SETTINGS)
    engine.load(made(tmp_path / "lines.sims"), 1_383_602_400 * 10**9)
    batch = packet(1_383_602_400 * 10**9, "10.0.1.43", teid=0x10000 + 2 * 299)
    assert play(engine, batch) == ["charged"]
    assert engine.snapshot()["sleeping_sims"] == COUNT - 1
