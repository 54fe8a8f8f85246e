"""Subscriber files in CSV: rows become contracts and lines; faults are told at their field."""

import datetime
from pathlib import Path

import pytest

from engine import config, subscribers
from engine.subscribers import Coupon

SETTINGS = config.load(None)
HEAD = "contract,plan,started,line,imsi,coupon,balance_bytes,addresses,coupons\n"
ROW = "c1,family-share,2013-11-01,l1,440100000000001,true,0,10.0.0.1,bundle:100:2013-12\n"


def told(text: str) -> list[str]:
    """Every fault as its line of text, without the name of the file."""
    faults = subscribers.check(text, "b.csv", SETTINGS)
    return [str(fault).removeprefix("b.csv:") for fault in faults]


def load(tmp_path: Path, text: str) -> subscribers.Book:
    path = tmp_path / "book.csv"
    path.write_bytes(text.encode())
    return subscribers.load(path, SETTINGS)


def test_rows_of_one_contract_are_its_lines_wherever_they_stand(tmp_path: Path) -> None:
    """S3, N6"""
    rows = "c2,light-start,2013-10-31,l2,,False,5,,none\r\nc1,,,l3,,,,10.0.0.3  fd00::/64,\r\n\r\n"
    book = load(tmp_path, (HEAD + ROW).replace("\n", "\r\n") + rows)
    first, second = book.contracts
    assert (first.code, second.code) == ("c1", "c2")
    assert [line.code for line in first.lines] == ["l1", "l3"]
    assert first.lines[1].addresses == ("10.0.0.3", "fd00::/64")
    assert first.started == datetime.date(2013, 11, 1)
    assert first.coupons == (Coupon("bundle", 100, "2013-12"),)
    assert second.coupons == ()
    assert (second.lines[0].coupon, second.lines[0].balance_bytes) == (False, 5)


def test_columns_stand_in_any_order_and_fields_may_be_quoted(tmp_path: Path) -> None:
    text = 'line ,"contract",started,plan\n"a,b""c",c1,2013-11-01,light-start\n'
    (contract,) = load(tmp_path, text).contracts
    assert (contract.code, contract.coupons) == ("c1", None)
    assert contract.lines[0].code == 'a,b"c'


@pytest.mark.parametrize(
    ("wrong", "right", "fault"),
    [
        ("c1,family", "c1,giga,2013-11-01,l1,,,,,\nc2,family", "2:4: plan: no plan of the config"),
        ("2013-11-01", "2013-02-30", '2:17: started: "2013-02-30" is not allowed; allowed: a date'),
        ("2013-11-01", "20131101", '2:17: started: "20131101" is not allowed; allowed: a date'),
        ("440100000000001", "44x", '2:31: imsi: "44x" is not allowed; allowed: 5 to 15 digits'),
        (",true,", ",yes,", '2:47: coupon: "yes" is not allowed; allowed: true or false'),
        (",0,", ",-1,", "2:52: balance_bytes: -1 is not allowed; allowed: an integer 0 .."),
        (",0,", ",1.5,", '2:52: balance_bytes: "1.5" is not allowed; allowed: an integer 0 ..'),
        (",0,", f",{1 << 63},", "2:52: balance_bytes: 9223372036854775808 is not allowed;"),
        ("10.0.0.1", "10.0.0.1 10.0.0.1", "2:54: addresses: is, or overlaps, an address in line 2"),
        (
            "bundle:100:2013-12",
            "bundle:100",
            '2:63: coupons: "bundle:100" is not allowed; allowed: a',
        ),
        (
            "bundle:100:2013-12",
            "gift:100:2013-12",
            '2:63: coupons: "gift" is not allowed; allowed:',
        ),
        ("2013-12", "2013-13", '2:63: coupons: "2013-13" is no month'),
        (",l1,", ",,", "2:1: code: is missing;"),
        ("c1,", ",", "2:1: contract: is missing;"),
    ],
)
def test_a_wrong_field_says_where_and_what_is_allowed(wrong: str, right: str, fault: str) -> None:
    """C4, L4, N6, B79, B80"""
    (said, *_) = told(HEAD + ROW.replace(wrong, right))
    assert said.startswith(fault.replace("2:1: code", "2:28: line"))


def test_a_field_is_found_behind_quotes_and_line_ends() -> None:
    text = 'contract,plan,started,line,imsi\n"c,1",light-start,2013-11-01,"l""\n,1",x\n'
    assert [said.split(": ")[0] for said in told(text)] == ["2:30", "3:5"]
    # A quote inside an unquoted field means nothing.
    assert told(text.replace('"l""\n,1"', 'l"1'))[0].startswith('2:34: imsi: "x"')


def test_lines_beyond_the_plan_are_told_at_their_row() -> None:
    """L4, S2"""
    text = "contract,plan,started,line\nc,light-start,2013-11-01,a\nc,,,b\n"
    assert told(text) == ['3:1: one line too many; allowed: 1 in plan "light-start"']


def test_duplicates_name_both_rows() -> None:
    """N6, B79: duplicated SIM"""
    second = ROW.replace("10.0.0.1", "10.0.0.2").replace("l1", "l2")
    assert told(HEAD + ROW + second) == [
        '3:31: imsi: IMSI "440100000000001" is there already, in line 2'
    ]


def test_rows_of_one_contract_agree() -> None:
    """S5"""
    second = "c1,light-start,2013-11-01,l2,,,,,bundle:200:2013-12\n"
    said = "differs from the contract's first row, line 2; leave it empty or write the same"
    assert told(HEAD + ROW + second) == [f"3:4: plan: {said}", f"3:34: coupons: {said}"]


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("", ["1:1: empty; the first line names the columns: contract, plan,"]),
        ("\n" + HEAD, ["1:1: contract: column is missing", "1:1: line: column is missing"]),
        (
            HEAD.replace("line", "plan"),
            ["1:1: line: column is missing", "1:23: plan: column is there"],
        ),
        (
            HEAD.replace("imsi", "ismi"),
            ['1:28: unknown column "ismi"; allowed: contract, plan, sta'],
        ),
        (
            HEAD + "c1,light-start\n",
            ["2:1: 2 fields where the first line names 9; write , for each"],
        ),
        (HEAD + ROW + 'c2,"x\n', ["3:1: not CSV: unexpected end of data"]),
        (HEAD + ROW + 'c2,"x"y\n', ["3:1: not CSV: ',' expected after '\"'"]),
    ],
)
def test_a_wrong_shape_is_told(text: str, faults: list[str]) -> None:
    said = told(text)
    assert all(any(line.startswith(fault) for line in said) for fault in faults)


def test_an_unknown_column_does_not_hide_other_faults() -> None:
    text = "contract,plan,started,line,x\nc,giga,2013-11-01,a,1\n"
    assert [said.split(" ")[0] for said in told(text)] == ["1:28:", "2:3:"]


def test_a_large_book_is_read_whole(tmp_path: Path) -> None:
    """N6: thousands of lines, each with all that can clash"""
    rows = [
        f"c{k // 3},family-share,2013-11-01,l{k},{440100000000000 + k},,,10.1.{k >> 8}.{k & 255},\n"
        for k in range(3_000)
    ]
    book = load(tmp_path, HEAD + "".join(rows))
    assert sum(len(contract.lines) for contract in book.contracts) == 3_000
    (said,) = told(HEAD + "".join(rows) + rows[7].replace("l7", "new").replace("c2,", "new,"))[:1]
    assert said.startswith("3002:33: imsi: IMSI")
