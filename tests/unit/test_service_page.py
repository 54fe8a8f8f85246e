"""docs/protocol.md says what is so: its tables are made from the code, its bytes are those on the wire."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import Engine
from engine.service import packing, protocol
from engine.service.dispatch import Dispatcher
from engine.service.protocol import Request
from engine.service.verbs import VERBS, Field, words
from tests.support.service import GATEWAY, ICCID, IMSI, MS, NOON_NS, uplink

PAGE = "docs/protocol.md"
BEGIN = "<!-- {}: made by `pytest tests/unit/test_service_page.py --regen` -->\n"
END = "<!-- end -->"
WIDTH = 112

ANSWERS = {
    "hello": "see above",
    "attach": "`line`",
    "endpoint": "`index`",
    "process": "`rows`, and VERDICT rows",
    "usage": "the line's figures, as in the JSON report's `sims`",
    "totals": "`at_ns`, packets, bytes, grants, lines, `drops` by reason; a gateway's own as `gateway`",
    "snapshot": "`now_ns`, `totals`, `sims`, `next`",
}

ATTACH = {
    "iccid": ICCID,
    "imsi": IMSI,
    "teid_up": 1,
    "address": "10.1.0.1",
    "gateway": GATEWAY,
    "at_ns": NOON_NS,
}
ROWS = [uplink(1, 0, at_ns=NOON_NS + n * MS).tobytes() for n in range(2)]
LATER = {"line": ICCID, "at_ns": NOON_NS + MS}

CONVERSATION: list[tuple[str, Request | dict[str, Any]]] = [
    ("hello", Request("a", 0, "hello", {})),
    ("attach: a SIM that is new", Request("a", 0, "attach", ATTACH)),
    ("endpoint: a number for the gateway's address", Request("a", 1, "endpoint", {"address": GATEWAY})),
    ("process: one G-PDU, charged", Request("a", 2, "process", {}, ROWS[0], 1)),
    ("switch", Request("a", 3, "switch", {"line": ICCID, "on": False, "at_ns": NOON_NS + MS})),
    ("process: one more, slow", Request("a", 4, "process", {}, ROWS[1], 3)),
    ("the same again: the same answer, nothing happens", Request("a", 4, "process", {}, ROWS[1], 3)),
    ("usage", Request("a", 5, "usage", {"line": IMSI})),
    ("totals", Request("a", 6, "totals", {})),
    ("charge: more than a month allows", Request("a", 5, "charge", {"contract": ICCID, "coupons": 31})),
    ("what comes too early", Request("a", 9, "suspend", LATER, b"", 8)),
    ("an id that was used", Request("a", 4, "suspend", LATER)),
    ("a bad argument", Request("a", 6, "suspend", LATER | {"at_ns": -1})),
    ("attach: a SIM that may not", Request("a", 7, "attach", {"imsi": "1", "known_only": True})),
    ("another version", {"v": 2, "client": "a", "id": 8, "verb": "hello", "args": {}}),
    ("close", Request("a", 8, "close", {})),
    ("a stranger", Request("a", 9, "suspend", LATER)),
]  # fmt: skip


def frames_of(asked: Request | dict[str, Any]) -> list[bytes]:
    if isinstance(asked, Request):
        return [bytes(frame) for frame in protocol.encode_request(asked)]
    return [b"", packing.pack(asked)]


def said(frames: list[bytes], who: str) -> str:
    """A message as the page shows it: its map, then its frames."""
    lines = [f"{who:6} {json.dumps(packing.unpack(frames[1], trusted=True), ensure_ascii=False)}"]
    for frame in frames[1:]:
        text = frame.hex()
        lines += [f"       {text[at : at + WIDTH]}" for at in range(0, len(text), WIDTH)]
        lines.append("       --")
    return "\n".join(lines[:-1])


def vectors() -> str:
    blocks = []
    with Engine.open() as engine:
        dispatcher = Dispatcher(engine)
        for title, asked in CONVERSATION:
            frames = frames_of(asked)
            answer = [bytes(frame) for frame in dispatcher.answer(frames)]
            blocks.append(
                f"### {title}\n```\n{said(frames, 'ask')}\n{said(answer, 'answer')}\n```\n"
            )
    return "\n".join(blocks)


def argument(name: str, field: Field) -> str:
    kind = words(field)
    if field.low or (field.high < packing.INT_MAX and int in field.kinds and name != "at_ns"):
        kind += f" {field.low}..{field.high}"
    return f"`{name}` {kind}" if field.required else f"[`{name}` {kind}]"


def verbs() -> str:
    rows = [
        f"| `{verb}` | {', '.join(argument(*item) for item in fields.items()) or '-'} |"
        f" {ANSWERS.get(verb, '-')} |"
        for verb, fields in VERBS.items()
    ]
    return "\n".join(
        ["| verb | arguments ([may be left out]) | answer |", "| --- | --- | --- |", *rows, ""]
    )


def codes() -> str:
    rows = [f"| `{code}` | {text} |" for code, text in protocol.CODES.items()]
    return "\n".join(["| code | meaning |", "| --- | --- |", *rows, ""])


@pytest.mark.parametrize("part", [verbs, codes, vectors])
def test_the_page_is_made_from_the_code(project: Path, regen: bool, part: Any) -> None:
    """`--regen` writes the tables and the vectors: what is asked, and what a real engine answers."""
    path = project / PAGE
    text = path.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN.format(part.__name__))
    wanted = head + BEGIN.format(part.__name__) + part() + rest[rest.index(END) :]
    if regen:
        path.write_text(wanted, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == wanted, f"run: pytest {__file__} --regen"


def shown(project: Path) -> Iterator[tuple[str, Any, list[bytes], Any, list[bytes]]]:
    """(title, ask, its frames, answer, its frames) of every vector on the page, as a reader takes it."""
    text = (project / PAGE).read_text(encoding="utf-8")
    for title, block in re.findall(
        r"### (.+)\n```\n((?:.+\n)+)```", text.partition("## Test vectors")[2]
    ):
        parts = []
        for who in ("ask", "answer"):
            found = re.search(rf"^{who} +(.+)\n((?:       .+\n)+)", block, re.M)
            assert found is not None, title
            frames = "".join(found[2].split()).split("--")
            parts += [json.loads(found[1]), [b"", *map(bytes.fromhex, frames)]]
        yield (title, *parts)  # type: ignore[misc]


def test_the_bytes_on_the_page_mean_what_is_said_beside_them(project: Path) -> None:
    """F8: in both directions: packing what is shown gives the bytes, and the bytes give what is shown."""
    found = list(shown(project))
    assert [title for title, *_ in found] == [title for title, _ in CONVERSATION]
    for _, asked, ask_frames, answered, answer_frames in found:
        assert packing.pack(asked) == ask_frames[1]
        assert packing.unpack(ask_frames[1]) == asked
        assert packing.pack(answered) == answer_frames[1]
        assert packing.unpack(answer_frames[1], trusted=True) == answered


def test_a_new_engine_answers_the_page_byte_by_byte(project: Path) -> None:
    """I3, D1, P1-P3"""
    with Engine.open() as engine:
        dispatcher = Dispatcher(engine)
        for title, _, ask_frames, _, answer_frames in shown(project):
            assert [bytes(f) for f in dispatcher.answer(ask_frames)] == answer_frames, title


def test_every_code_is_met_in_a_conversation_or_named_why_not(project: Path) -> None:
    met = {
        answered["error"]["code"] for _, _, _, answered, _ in shown(project) if "error" in answered
    }
    elsewhere = {"TOO_MANY_CLIENTS", "SLOW_DOWN", "ID_FORGOTTEN"}
    assert met | elsewhere == set(protocol.CODES)
    assert not met & elsewhere
