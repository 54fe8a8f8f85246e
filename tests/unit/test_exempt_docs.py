"""docs/exempt.md says what the code does: its blocks load, its figures and its table are the code's."""

import json
import re
import shutil
from pathlib import Path

import pytest

from engine import config
from engine.config import Exempt
from engine.datapath import classify
from engine.errors import ConfigError
from engine.subscribers import events
from engine.units import NS_PER_S

MARKED = re.compile(r"<!-- (\w+) -->(\n?)(.*?)<!-- end -->", re.S)
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.S)


def table(exempt: Exempt) -> str:
    """The list as a Markdown table."""
    groups = {group.id: group for group in exempt.rating_groups}
    lines = [
        "| rating group | cap a day | endpoint | protocol | ports | prefixes |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for endpoint in exempt.endpoints:
        group = groups[endpoint.rating_group]
        cap = f"{group.cap_bytes_per_day} B" if group.cap_bytes_per_day else "none"
        protocol = {"any": "TCP, UDP"}.get(endpoint.protocol, endpoint.protocol.upper())
        ports, prefixes = ", ".join(map(str, endpoint.ports)), ", ".join(endpoint.prefixes)
        cells = (f"{group.id} {group.name}", cap, endpoint.name, protocol, ports, prefixes)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def made() -> dict[str, str]:
    """What stands between the marks of the page, by name."""
    return {
        "packaged": table(config.load(None).exempt),
        "seconds": f"{classify.FRAGMENT_NS // NS_PER_S} s",
        "places": str(len(classify.free_fragments())),
    }


@pytest.fixture
def page(project: Path) -> Path:
    return project / "docs" / "exempt.md"


def blocks(page: Path, language: str) -> list[str]:
    found = [text for kind, text in BLOCK.findall(page.read_text("utf-8")) if kind == language]
    assert found
    return found


def test_tables_and_figures_of_the_page_are_those_of_the_code(page: Path, regen: bool) -> None:
    """X2, X3, X4; `--regen` writes them anew"""
    parts, text = made(), page.read_text("utf-8")
    assert {name for name, _, _ in MARKED.findall(text)} == set(parts)
    now = MARKED.sub(lambda m: f"<!-- {m[1]} -->{m[2]}{parts[m[1]]}<!-- end -->", text)
    if regen:
        page.write_text(now, encoding="utf-8")
    assert now == text or regen


def test_a_changed_list_would_be_seen() -> None:
    """X2: the table is made from the list"""
    exempt = config.load(None).exempt
    fewer = Exempt(exempt.endpoints[1:], rating_groups=exempt.rating_groups)
    assert len(table(exempt).splitlines()) == len(table(fewer).splitlines()) + 1
    assert table(exempt).count("52428800 B") == 1


def test_the_configuration_of_the_page_loads(page: Path, tmp_path: Path) -> None:
    """X2, X3: and says what the words beside it say"""
    (text,) = blocks(page, "toml")
    assert config.check(text, "page") == []
    path = tmp_path / "page.toml"
    path.write_text(text)
    exempt = config.load_exempt(path)
    packaged = config.load(None).exempt
    assert (exempt.charge, exempt.count) == (packaged.charge, packaged.count) == (False, False)
    resolvers, mailboxes, portal = exempt.endpoints
    assert (resolvers.rating_group, mailboxes.rating_group) == (10, 0)
    assert (portal.protocol, portal.ports) == ("any", ())
    assert exempt.rating_groups == packaged.rating_groups[:1]


def test_the_events_of_the_page_load_their_lists(page: Path, project: Path, tmp_path: Path) -> None:
    """X2: from the folder of the event file, which here is that of the lists"""
    (text,) = blocks(page, "json")
    path = tmp_path / "events.jsonl"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"events\.jsonl:1:\d+: \[0\]\.file: .*cannot be read"):
        events.load(path)
    for name in ("exempt-example.toml", "iijmio.toml"):
        shutil.copy(project / "configs" / name, tmp_path)
    first, last = events.load(path)
    assert first.do == last.do == "exempt"
    assert last.exempt == config.load(None).exempt
    assert first.exempt != last.exempt
    assert [group.name for group in first.exempt.rating_groups] == ["dns", "mail", "web", "update"]
    # Keys are those that the page's words name.
    assert {key for line in text.splitlines() for key in json.loads(line)} == {"at", "do", "file"}


@pytest.mark.parametrize(
    ("prefixes", "words"),
    [
        (["192.0.2.1/24"], "bits set after the prefix"),
        (["::ffff:192.0.2.1"], "an IPv4 prefix in disguise"),
        (["::/1"], "allowed: /2 or longer"),
        (["192.0.2.0/24", "192.0.2.1"], "overlaps the exempt prefix"),
    ],
)
def test_the_faults_that_the_page_lists_are_found(prefixes: list[str], words: str) -> None:
    """B79, X2"""
    entry = f'[[exempt.endpoint]]\nname = "a"\nprefixes = {json.dumps(prefixes)}\n'
    (fault,) = config.check(entry, "f")
    assert words in fault.what
