"""Machine formats of a report: raw numbers, units in the field names."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import orjson

Document = dict[str, Any]

C_FIELDS = (
    "packets",
    "inner_bytes",
    "charged_bytes",
    "slow_bytes",
    "exempt_bytes",
    "free_bytes",
    "dropped_packets",
    "dropped_bytes",
    "delayed_packets",
    "max_delay_ns",
)
SIM_FIELDS = (
    "code",
    "iccid",
    "imsi",
    "msisdn",
    "contract",
    "address",
    "rat_type",
    "grants",
    "granted_bytes",
    "balance_bytes",
    "shown_balance_bytes",
    "coupon",
    "regulated",
    "in_service",
)


def as_json(document: Document) -> Iterator[str]:
    """One document, indented by two."""
    try:
        yield orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()
    except TypeError:  # an integer of more than 64 bits, or a file's name that is not UTF-8
        yield json.dumps(document, indent=2, ensure_ascii=False)
    yield "\n"


def as_jsonl(document: Document) -> Iterator[str]:
    """One record a line; `record` says which: capture, totals, drop, sim, contract,
    rating_group, tunnel, session, sleeping (with a binary subscriber table), timing."""

    def line(record: str, content: dict[str, Any]) -> str:
        return json.dumps({"record": record, **content}, ensure_ascii=False) + "\n"

    yield line("capture", {"schema": document["schema"], **document["capture"]})
    yield line("totals", document["totals"])
    for reason, content in document["drops"].items():
        yield line("drop", {"reason": reason, **content})
    for name in ("sim", "contract", "rating_group", "tunnel", "session"):
        for content in document[f"{name}s"]:
            yield line(name, content)
    if "sleeping_sims" in document:
        yield line("sleeping", {"sims": document["sleeping_sims"]})
    yield line("timing", document["timing"])


def as_csv(document: Document) -> Iterator[str]:
    """One row a SIM; the counters of both directions with `up_` and `down_` before their names."""
    counters = [f"{way}_{name}" for way in ("up", "down") for name in C_FIELDS]
    yield _row([*SIM_FIELDS, *counters])
    for sim in document["sims"]:
        figures = [sim[way][name] for way in ("up", "down") for name in C_FIELDS]
        yield _row([_plain(sim[name]) for name in SIM_FIELDS] + figures)


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else value


def _row(values: list[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


MACHINE = {"json": as_json, "jsonl": as_jsonl, "csv": as_csv}
