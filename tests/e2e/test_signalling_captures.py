"""Real GTP-C messages of both versions, held against what tshark wrote down of them."""

import csv
from collections import Counter
from pathlib import Path

import pytest

from engine.errors import SignallingError
from engine.signalling.codec import decode
from tests.support.gtpc import datagrams
from tests.support.gtpc_truth import Row, check, of


def truths(shared: Path) -> list[Path]:
    return sorted((shared / "captures" / "gtp").glob("*.gtpc.tsv"))


def rows(truth: Path) -> dict[int, Row]:
    with truth.open(encoding="utf-8", newline="") as file:
        found = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return {int(row["frame.number"]): row for row in found}


def test_every_real_message_is_read_as_tshark_reads_it(shared: Path) -> None:
    """All captures that have a table of control messages; B47 for those of version 0 and GTP'."""
    counts: Counter[str] = Counter()
    for truth in truths(shared):
        payloads = dict(datagrams(Path(str(truth).removesuffix(".gtpc.tsv"))))
        for number, row in rows(truth).items():
            known = row["gtp.flags.version"] == "1" or row["gtpv2.message_type"] != ""
            if not known:
                with pytest.raises(SignallingError) as refused:
                    decode(payloads[number], strict=False)
                counts[refused.value.reason] += 1
                continue
            message = decode(payloads[number], strict=False)
            check(message, row)
            counts[f"version {message.version}"] += 1
    assert counts == {"version 2": 179, "version 1": 17, "version": 4, "proto": 1}


def test_a_real_message_is_read_strictly_too_or_named_what_it_lacks(shared: Path) -> None:
    """B42: S11 need not have it all; two F-TEIDs have no address, one element has no known type."""
    refused: Counter[str] = Counter()
    for truth in truths(shared):
        payloads = dict(datagrams(Path(str(truth).removesuffix(".gtpc.tsv"))))
        for number in rows(truth):
            try:
                message = decode(payloads[number])
            except SignallingError as error:
                refused[error.reason] += 1
                continue
            assert message == decode(payloads[number], strict=False)
    assert refused == {"ie_missing": 16, "ie_value": 2, "ie_type": 1, "version": 4, "proto": 1}


def test_a_wrong_word_in_the_table_is_found(shared: Path) -> None:
    """The comparison itself: each column that is compared, changed."""
    truth = next(path for path in truths(shared) if "nDPI__gtp_c" in path.name)
    payloads = dict(datagrams(Path(str(truth).removesuffix(".gtpc.tsv"))))
    row = rows(truth)[1]
    message = decode(payloads[1], strict=False)
    check(message, row)
    compared = [name for name in row if row[name] and name.startswith(("gtpv2", "e212", "e164"))]
    assert len(compared) >= 12
    for name in compared:
        wrong = row | {name: ",".join("999" for _ in of(row, name))}
        if name.startswith("gtpv2.pdn_addr"):
            wrong[name] = "10.9.9.9"
        with pytest.raises(AssertionError):
            check(message, wrong)
