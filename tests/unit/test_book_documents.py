"""The contract book: an account's document, canonical, versioned, and refused when it is damaged."""

import json

import pytest

from engine.errors import PoolError
from engine.subscribers import actions as do
from engine.subscribers import documents
from engine.subscribers.account import resolve
from tests.support.books import FIRST, LINES, MIO, SECOND, Desk, at, family, named_line


def rich() -> Desk:
    """An account that has had everything done to it."""
    desk = family(3)
    day = "2013-11-06"
    desk.do(do.ChangeDetails("vault:1", "crm:é"), day)
    desk.do(do.AddOption(FIRST, "ipv6"), day)
    desk.do(do.ReplaceSim(LINES[0], "8981100000000000009", imsi="440100000000009"), day)
    desk.do(do.ReportLost(LINES[1]), day)
    desk.do(do.ReservePortOut(LINES[0]), day)
    desk.do(do.RemoveLine(LINES[2]), day)
    desk.do(named_line(4, port_in_issued_ns=at(day), voice=True, addresses=("10.0.0.1",)), day)
    desk.do(do.CancelLine(LINES[1]), day)
    desk.do(do.CancelOption(FIRST, "ipv6"), day)
    desk.do(do.Apply(SECOND, service="safety-mail"), day)
    desk.do(do.Cancel(SECOND), day)
    return desk


def test_a_document_is_the_account() -> None:
    """A1, I8"""
    for desk in (rich(), family(1), Desk("2013-11-01")):
        text = documents.to_json(desk.account)
        assert documents.from_json(text) == desk.account
        assert documents.to_json(documents.from_json(text)) == text
        assert "\n" not in text
        raw = json.loads(text)
        assert raw["schema"] == "pktoll.account/1"
        assert text == json.dumps(raw, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ('"mio_id":"MA00000001"', '"mio_id":"MA1"'),
        ('"plan":"family-share"', '"plan":5'),
        ('"code":"hdo00000002"', '"code":"hdo00000001"'),
        ('"imsi":"440100000000002"', '"imsi":"440100000000001"'),
        ('"iccid":"8981100000000000001"', '"iccid":"89811"'),
        ('"voice":false', '"voice":0'),
        ('"voice":false', '"voice":false,"colour":1'),
        ('"changed_ns":', '"changed_ns":-'),
        ('"started_ns":', '"ended_ns":1,"started_ns":'),
        ('"contracts":[', '"contracts":[5,'),
    ],
)
def test_a_damaged_document_is_refused_in_one_line(change: str, words: str) -> None:
    """B81, F18"""
    text = documents.to_json(family(2).account)
    assert change in text
    with pytest.raises(
        PoolError, match=r"^contract book: a document is damaged: .*from a copy"
    ) as e:
        documents.from_json(text.replace(change, words, 1))
    assert str(e.value).isprintable()


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "5", "[]", "null", "\0"])
def test_what_is_no_document_is_refused(text: str) -> None:
    """B81"""
    with pytest.raises(PoolError, match="is damaged: it is n"):
        documents.from_json(text)


@pytest.mark.parametrize("schema", ["pktoll.account/2", "", 1, None])
def test_a_document_of_another_schema_is_refused(schema: object) -> None:
    """F22: never guessed"""
    raw = json.loads(documents.to_json(family(1).account))
    raw["schema"] = schema
    with pytest.raises(PoolError, match=r'reads only "pktoll\.account/1"; use the version that'):
        documents.from_json(json.dumps(raw))
    del raw["schema"]
    with pytest.raises(PoolError, match="use the version that wrote it"):
        documents.from_json(json.dumps(raw))


def test_the_names_are_those_by_which_an_account_is_found() -> None:
    """N6, L2, A1: codes for good, cards and numbers as long as they are the line's; each once"""
    desk = rich()
    names = documents.names(desk.account)
    assert names == [
        ("mio", MIO),
        ("contract", FIRST),
        ("line", LINES[0]),
        ("line", LINES[1]),
        ("line", LINES[2]),
        ("line", LINES[3]),
        ("contract", SECOND),
        ("imsi", "440100000000009"),
        ("iccid", "8981100000000000009"),
        ("msisdn", "819000000001"),
        ("iccid", "8981100000000000001"),
        ("imsi", "440100000000001"),
        ("imsi", "440100000000002"),
        ("iccid", "8981100000000000002"),
        ("msisdn", "819000000002"),
        ("imsi", "440100000000004"),
        ("iccid", "8981100000000000004"),
        ("msisdn", "819000000004"),
    ]


def test_every_name_leads_to_what_bears_it() -> None:
    """N6"""
    account = rich().account
    for kind, name in documents.names(account):
        contract, line = resolve(account, name)
        if kind == "mio":
            assert (contract, line) == (None, None)
        elif kind == "contract":
            assert line is None
            assert contract is not None
            assert contract.code == name
        else:
            assert line is not None
            assert contract is not None
            assert line in contract.lines
    assert resolve(account, "8981100000000000001")[1] == resolve(account, LINES[0])[1]
    assert resolve(account, "8981100000000000003") == (None, None)
