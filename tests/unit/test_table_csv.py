"""Large CSV subscriber files: what a kernel takes of them, and what it leaves to the loader."""

from pathlib import Path

import pytest

from bench import sims_table
from engine.subscribers import table_csv
from engine.subscribers.csvbook import COLUMNS
from tests.support.csvfiles import HEAD, NEVER, Files, row


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    return Files.watched(tmp_path, monkeypatch)


def test_what_is_plain_never_meets_the_loader(files: Files) -> None:
    said = {
        "contract": " hdd1 ",
        "plan": '"family-share"',
        "started": "2012-02-29",
        "mio_id": "MA00000001",
        "coupons": " bundle:1073741824:2013-12  topup:+7:2014-01 ",
        "contract_ends": "2261-12",
        "next_plan": "light-start:2014-03",
        "ipv6": "True",
        "line": "hdo00000001",
        "imsi": "440100000000001",
        "iccid": "8981030000000000018",
        "msisdn": "09000000001",
        "coupon": "FALSE",
        "balance_bytes": "00999",
        "addresses": "2001:DB8:0:1::/64  10.1.0.1/32",
        "teid_up": "4294967295",
        "teid_down": "1",
        "gateway": "192.0.2.1",
        "in_service": "false",
        "ends": "1970-01",
    }
    first = ",".join(said[column] for column in COLUMNS)
    second = "hdd2,minimum-start,1970-01-01,,none,,minimum-start:1970-01,,l2"
    third = "hdd3,family-share,1970-01-01,,,,,,l3,,8888888888888888888888,,,,10.0.0.9"
    again = "hdd3,,,,,,,,l4,,,,,,fd00::/64,77,,192.0.2.0"
    table = [one.split(",") for one in (first, second, third, again)]
    rows = [",".join([*fields, *[""] * (len(COLUMNS) - len(fields))]) for fields in table]
    files.write(*rows, "", head=",".join(COLUMNS))
    assert isinstance(files.same(), bytes)
    assert files.looked_at == []
    columns = [*range(10, len(COLUMNS)), *range(10)]
    mixed = [",".join([each.split(",")[k] for k in columns]) for each in [",".join(COLUMNS), *rows]]
    files.write(*mixed[1:], head=mixed[0])
    assert isinstance(files.same(), bytes)
    assert files.looked_at == []


@pytest.mark.parametrize(("ending", "mark"), [("\n", ""), ("\r\n", "\ufeff"), ("\r\n", "")])
@pytest.mark.parametrize("at_once", [1, 2, 3, 4, 100])
def test_pieces_are_cut_where_the_loader_s_are(
    files: Files, at_once: int, ending: str, mark: str
) -> None:
    rows = [row(1, 1), row(2, 1), row(3, 2), row(4, 2), "", "", row(5, 3), "", row(6, 4), row(7, 4)]
    text = mark + ending.join([HEAD, *rows])
    for octets in (text.encode(), (text + ending).encode()):
        files.book.write_bytes(octets)
        seen: list[int] = []
        assert isinstance(files.same(rows_at_once=at_once, progress=seen.append), bytes)
        assert files.looked_at == []
        assert seen[len(seen) // 2 - 1] == len(octets)


@pytest.mark.parametrize("at_once", [1, 2, 3, 4, 100])
def test_an_empty_line_may_cut_a_contract_in_two(files: Files, at_once: int) -> None:
    """as it does for the loader: it is of no contract"""
    files.write(row(1, 1), row(2, 1), row(3, 2), "", row(4, 2), row(5, 3))
    assert isinstance(files.same(rows_at_once=at_once), str) == (at_once == 2)


def test_contracts_that_are_odd_meet_the_loader_together(files: Files) -> None:
    """their plans, gateways and coupons are numbered as if nobody had been passed over"""
    odd = {"gateway": "2001:db8::1"}
    rows = [
        row(1, 1, coupons="topup:1:2013-12", gateway="192.0.2.2"),
        row(2, 2, coupons="\ttopup:2:2013-12", **odd, plan="light-start"),
        row(3, 3, coupons="topup:3:2013-12 bundle:4:2013-12", **odd),
        row(4, 3, gateway="192.0.2.3\t"),
        row(5, 4, gateway="192.0.2.1", plan="minimum-start"),
        row(6, 5, coupons="none", addresses="2001:db8:0:7:0:0:0:0/64"),
        row(7, 6, coupons="topup:5:2014-01", gateway="192.0.2.2"),
        row(8, 7, balance_bytes="2305843009213693952"),
    ]
    files.write(*rows)
    for ends in (len(rows), len(rows) - 1):
        files.write(*rows[:ends])
        assert isinstance(files.same(), bytes)
        assert files.looked_at == [ends - 3]
    head = HEAD.replace("coupons", "next_plan")
    files.write(row(1, 1), row(2, 2, coupons="light-start:2014-01\t"), head=head)
    assert isinstance(files.same(), bytes)
    assert files.looked_at == [1]


def test_odd_contracts_may_turn_out_to_be_one(files: Files) -> None:
    files.write(row(1, 1, contract="hdd1\u3000"), row(2, 1, contract="hdd1\xa0"), row(3, 2))
    assert isinstance(files.same(), bytes)
    assert files.looked_at == [2, 3]


CLASHES = {
    "a line": {"line": "hdo2"},
    "an IMSI": {"imsi": "440100000000002"},
    "an address": {"addresses": "10.1.0.2"},
    "a prefix": {"addresses": "fd00::/64"},
    "a TEID": {"teid_up": "1002"},
    "a TEID of the other way": {"teid_down": "1002"},
    "a contract": {"contract": "hdd1"},
    "a contract of others": {"contract": "hdd1", "plan": "light-start"},
}


@pytest.mark.parametrize("at_once", [1, 100])
@pytest.mark.parametrize("clash", CLASHES)
def test_what_only_one_can_have_is_refused_in_the_loader_s_words(
    files: Files, clash: str, at_once: int
) -> None:
    """in a piece with both lines named, and across pieces when the table is checked"""
    files.write(
        row(1, 1),
        row(2, 2, addresses="10.1.0.2 fd00::/64"),
        row(3, 3),
        row(4, 4, **CLASHES[clash]),
        row(5, 5),
    )
    found = files.same(rows_at_once=at_once)
    assert isinstance(found, bytes) == (clash == "a contract" and at_once == 100)


FAULTS: dict[str, list[str]] = {
    "no plan": [row(2, 2, plan="giga")],
    "too many lines": [row(k, 2) for k in range(2, 6)],
    "too many for the plan that was ordered": [
        row(2, 2, coupons="minimum-start:2014-01"),
        row(3, 2),
    ],
    "a plan ordered that is none": [row(2, 2, coupons="giga:2014-01")],
    "an order without a month": [row(2, 2, coupons="light-start")],
    "no code": [row(2, 2, contract="")],
    "no code of a line": [row(2, 2, line="")],
    "digits": [row(2, 2, imsi="1234")],
    "a field too many": [row(2, 2) + ",1"],
    "a field too few": [row(2, 2).rsplit(",", 1)[0]],
    "another plan": [row(2, 2), row(3, 2, plan="light-start")],
    "a shorter plan": [row(2, 2), row(3, 2, plan="family-shar")],
    "another letter": [row(2, 2), row(3, 2, plan="family-sharE")],
    "a gateway without TEID": [row(2, 2, gateway="192.0.2.1", teid_up="")],
    "an MSISDN": [row(2, 2, coupons="0900")],
    "a mioID with a blank": [row(2, 2, coupons="a b")],
    "a long mioID": [row(2, 2, coupons="x" * 13)],
    "a balance": [row(2, 2, balance_bytes="x")],
    "two addresses": [row(2, 2, addresses="10.1.0.2 10.1.0.77")],
    "two prefixes": [row(2, 2, addresses="fd00::/64 fd01::/64")],
    "an address": [row(2, 2, addresses="10.1.0.256")],
    "a code that a table cannot hold": [row(2, 2, line="1234")],
    "a quote that does not close": [row(2, 2, line='"hdo2')],
    "a quote inside": [row(2, 2, line='h"o2')],
    "a quote that closes early": [row(2, 2, line='"h"o2')],
    "a line inside quotes": [row(2, 2, line='"hd\no2"')],
    "a control character": [row(2, 2, line='"hd\0o2"')],
    "a doubled quote": [row(2, 2, line='"hd""o2"'), row(3, 3, imsi="1")],
    "a long field": [row(2, 2, addresses=" " * 5000), row(3, 3, imsi="1")],
    "not UTF-8": [row(2, 2, line="\udcff")],
    "a month of a coupon": [row(2, 2)],
}


@pytest.mark.parametrize("at_once", [1, 2, 100])
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_told_in_the_loader_s_words(files: Files, fault: str, at_once: int) -> None:
    instead = {"order": "next_plan", "MSISDN": "msisdn", "mioID": "mio_id"}
    names = [name for word, name in instead.items() if word in fault] or ["coupons"]
    head = HEAD.replace("coupons", names[0])
    rows = [row(1, 1), *FAULTS[fault], row(8, 8), row(9, 9, imsi="12")]
    text = "".join(f"{line}\n" for line in (head, *rows))
    files.book.write_bytes(text.encode(errors="surrogateescape"))
    assert isinstance(files.same(rows_at_once=at_once), str)


COUPONS = (
    "bundle:1 :1:2013-12 gift:1:2013-12 bundle:x:2013-12 bundle:1:2013-13 topup nones None "
    "bundle:1:2013-12: bundle:4611686018427387905:2013-12 bundle:1:2013-12,"
)


@pytest.mark.parametrize("coupons", COUPONS.split())
def test_coupons_that_are_none_are_refused(files: Files, coupons: str) -> None:
    files.write(row(1, 1), row(2, 2, coupons=coupons), row(3, 3))
    assert isinstance(files.same(), str)


def test_a_line_may_end_in_a_carriage_return_alone(files: Files) -> None:
    files.write(f"{row(1, 1)}\r{row(2, 2)}", row(3, 3))
    assert isinstance(files.same(), bytes)
    assert files.looked_at == [2]  # of which two rows end in a line feed


def test_a_code_may_begin_as_another_does(files: Files) -> None:
    files.write(row(1, 12), row(2, 1), row(3, 1), row(4, 123))
    assert isinstance(files.same(), bytes)
    assert files.looked_at == []


NO_HEADS = [
    HEAD.replace("plan", "Plan"),
    HEAD.replace("plan", "line"),
    HEAD.replace("plan,", ""),
    f"\r{HEAD}",
    HEAD.replace(",plan", ",\rplan"),
    '"' + HEAD,
    "",
    "\udcff" + HEAD,
    HEAD + " " * (1 << 16),
]


@pytest.mark.parametrize("head", NO_HEADS)
def test_a_first_line_that_is_not_one_of_columns_is_the_loader_s(files: Files, head: str) -> None:
    files.book.write_bytes(f"{head}\n{row(1, 1)}\n".encode(errors="surrogateescape"))
    assert files.same() == files.outcome(NEVER)


@pytest.mark.parametrize("rows", [[], [""], ["", "", ""]])
def test_a_file_without_rows_is_a_table_without_lines(files: Files, rows: list[str]) -> None:
    files.write(*rows)
    assert isinstance(files.same(), bytes)
    files.book.write_text(HEAD, encoding="ascii")
    assert isinstance(files.same(), bytes)
    assert files.looked_at == []


@pytest.mark.parametrize("held_bytes", [64, 500, 3000])
@pytest.mark.parametrize("at_once", [1, 7, 1000])
def test_a_file_is_held_in_parts(
    files: Files, monkeypatch: pytest.MonkeyPatch, held_bytes: int, at_once: int
) -> None:
    """the room grows where a piece needs more; a piece that is read as text ends where it ends"""
    monkeypatch.setattr(table_csv, "READ_BYTES", held_bytes)
    said: list[dict[str, str]] = [{}] * 5 + [{"line": '"h""x"'}] + [{}] * 9
    files.write(*[row(k, k // 2, **more) for k, more in enumerate(said)])
    assert isinstance(files.same(rows_at_once=at_once), bytes)
    assert sum(files.looked_at) < 5
    text = files.book.read_text(encoding="ascii")
    files.book.write_text(text.replace('"h""x"', '"h\nx"'), encoding="ascii")
    assert isinstance(files.same(rows_at_once=at_once), str)
    files.book.write_text(text.replace("440100000000004", '"440100000000004\n"'), encoding="ascii")
    assert isinstance(files.same(rows_at_once=at_once), bytes)
    assert 0 < sum(files.looked_at) < 7 or at_once > 1


@pytest.mark.parametrize("end", ["\r", '"', "\r\n\r", ',"', ' "'])
def test_the_end_of_a_file_is_read_as_the_loader_reads_it(files: Files, end: str) -> None:
    files.book.write_bytes(f"{HEAD}\n{row(1, 1)}\n{row(2, 2)}{end}".encode())
    files.same()
    files.same(rows_at_once=1)


def test_where_a_piece_may_end_its_rows_must_be_certain(files: Files) -> None:
    """a blank that only Python knows makes another contract of the same one"""
    files.write(row(1, 1), row(2, 1), row(3, 1, contract="hdd1\u3000"), row(4, 2), row(5, 2))
    assert isinstance(files.same(rows_at_once=1), bytes)
    assert isinstance(files.same(rows_at_once=3), bytes)
    assert isinstance(files.same(), bytes)
    assert files.looked_at[-1] == 5


@pytest.mark.parametrize("per_contract", [1, 3])
def test_the_bench_s_file_makes_the_bench_s_table(files: Files, per_contract: int) -> None:
    sims_table.write_csv(files.book, 100, per_contract)
    sims_table.write(files.table, 100, per_contract)
    made = files.table.read_bytes()
    assert files.outcome(0) == made
    assert files.looked_at == []


def test_a_clash_that_is_not_looked_for_shows_in_the_words(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """what the tests above hold against each other does differ where a check is left out"""
    monkeypatch.setattr(table_csv, "_agrees", lambda piece: True)
    files.write(row(1, 1), row(2, 2, imsi="440100000000001"))
    assert files.outcome(0) != files.outcome(NEVER)
