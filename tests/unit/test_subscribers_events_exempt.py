"""The `exempt` event: another exempt list from now on, read and checked when the events are."""

from pathlib import Path

import pytest

from engine import config, subscribers
from engine.cli.main import main
from engine.errors import ConfigError
from engine.subscribers import ReloadExempt, events

LIST = '[[exempt.endpoint]]\nname = "a"\nprefixes = ["{}"]\n'


def put(folder: Path, *lines: str) -> Path:
    """An event file."""
    path = folder / "e.jsonl"
    path.write_text("\n".join(lines))
    return path


def exempt(file: str, at_ns: int = 1) -> str:
    return f'{{"at_ns": {at_ns}, "do": "exempt", "file": "{file}"}}'


def prefixes(event: subscribers.Event) -> tuple[str, ...]:
    """Those of the only endpoint of the list."""
    assert event.do == "exempt"
    (endpoint,) = event.exempt.endpoints
    return endpoint.prefixes


def test_a_list_lies_beside_the_event_file_wherever_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """X2: relative names start at the event file's folder, absolute ones do not"""
    folder = tmp_path / "events"
    (folder / "lists").mkdir(parents=True)
    (folder / "b.toml").write_text(LIST.format("192.0.2.1"))
    (folder / "lists" / "b.toml").write_text(LIST.format("192.0.2.2"))
    (tmp_path / "b.toml").write_text(LIST.format("192.0.2.3"))
    put(
        folder,
        *(exempt("b.toml", 1), exempt("lists/b.toml", 2)),
        *(exempt("../b.toml", 3), exempt(str(tmp_path / "b.toml"), 4)),
    )
    wanted = [(f"192.0.2.{last}/32",) for last in (1, 2, 3, 3)]
    for stand, name in (
        (tmp_path, "events/e.jsonl"),
        (folder, "e.jsonl"),
        (tmp_path, folder / "e.jsonl"),
    ):
        monkeypatch.chdir(stand)
        assert [prefixes(event) for event in events.load(name)] == wanted


def test_only_the_exempt_list_is_taken_from_the_file(tmp_path: Path) -> None:
    """X2, X3: what it leaves out is as in the packaged configuration"""
    text = '[exempt]\ncharge = true\n[[exempt.rating_group]]\nid = 7\nname = "g"\n'
    (tmp_path / "a.toml").write_text(text + LIST.format("3fff::/20") + "rating_group = 7\n")
    (tmp_path / "b.toml").write_text('first_slice = "first-packet"\n[exempt]\ncount = true\n')
    first, second = events.load(put(tmp_path, exempt("a.toml", 5), exempt("b.toml", 6)))
    assert isinstance(first, ReloadExempt)
    assert first == ReloadExempt(
        at_ns=5, file="a.toml", exempt=config.load_exempt(tmp_path / "a.toml")
    )
    assert first.exempt.rating_groups == (config.RatingGroup(7, "g"),)
    assert (first.exempt.charge, first.exempt.count) == (True, False)
    assert isinstance(second, ReloadExempt)
    assert second.exempt.endpoints == config.load(None).exempt.endpoints
    assert (second.exempt.charge, second.exempt.count) == (False, True)


def test_a_list_is_read_once_however_many_events_name_it(tmp_path: Path) -> None:
    """B79: a thousand reloads of one long list"""
    (tmp_path / "a.toml").write_text(LIST.format("192.0.2.1"))
    (tmp_path / "b.toml").write_text(LIST.format("192.0.2.2"))
    lines = [exempt("ab"[k % 2] + ".toml", k) for k in range(1_000)]
    made = events.load(put(tmp_path, *lines))
    assert [prefixes(event) for event in made[:3]] == [
        ("192.0.2.1/32",),
        ("192.0.2.2/32",),
        ("192.0.2.1/32",),
    ]
    assert len({id(event.exempt) for event in made if event.do == "exempt"}) == 2


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (None, "x.toml: cannot be read: No such file or directory; name a file that is there"),
        ("", "x.toml:1:1: exempt: is missing; write [[exempt.endpoint]] entries"),
        ("[exempt", "x.toml:1:8: not TOML: "),
        (
            LIST.format("10.0.0.0/33"),
            'x.toml:3:13: exempt.endpoint[0].prefixes[0]: "10.0.0.0/33" is no',
        ),
        (
            LIST.format("10.0.0.0/33") + "rating_group = 5\nports = [0]",
            'x.toml:3:13: exempt.endpoint[0].prefixes[0]: "10.0.0.0/33" is no prefix; allowed: such as '
            "192.0.2.0/24 or 2001:db8::/32 (and 2 more)",
        ),
        (
            LIST.format("10.0.0.0/8") + "[speed]\nslow = 1",
            "x.toml:5:8: speed.slow: 1 is not allowed",
        ),
    ],
)
def test_a_wrong_list_is_told_at_the_event_that_names_it(
    tmp_path: Path, text: str | None, fault: str
) -> None:
    """B79, X2: the line of the event, and the place in the list"""
    if text is not None:
        (tmp_path / "x.toml").write_text(text)
    (tmp_path / "good.toml").write_text(LIST.format("10.0.0.0/8"))
    path = put(tmp_path, exempt("good.toml"), "", exempt("x.toml"), exempt("x.toml"))
    with pytest.raises(ConfigError) as caught:
        events.load(path)
    assert caught.value.exit_status == 3
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[0] for line in lines] == [f"{path}:3:38", f"{path}:4:38"]
    assert lines[0].startswith(f"{path}:3:38: [1].file: {tmp_path}/{fault}")
    # The same from TOML.
    other = tmp_path / "e.toml"
    other.write_text('[[event]]\nat_ns = 1\ndo = "exempt"\nfile = "x.toml"\n')
    (line,) = map(str, events.check(other.read_text(), str(other)))
    assert line.startswith(f"{other}:4:8: event[0].file: {tmp_path}/{fault}")


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ("", "1:1: [0].file: is missing; allowed: 1 to 1024 printable characters in quotes"),
        (', "file": ""', '1:38: [0].file: "" is not allowed; allowed: 1 to 1024 printable'),
        (', "file": 5', "1:38: [0].file: 5 is not allowed"),
        (', "file": "a\\u0000"', '1:38: [0].file: "a\\x00" holds an invisible character'),
        (', "file": "a\\u202e"', '1:38: [0].file: "a\\u202e" holds an invisible character'),
        (', "exempt": {"endpoint": []}', "1:1: [0].file: is missing"),
        (
            ', "file": "a", "exempt": {}',
            "1:43: [0].exempt: unknown key; allowed: at, at_ns, file, do",
        ),
        (', "file": "a", "line": "b"', "1:43: [0].line: unknown key"),
    ],
)
def test_an_event_that_names_no_file_says_where(fields: str, fault: str) -> None:
    """B77, B79: a list cannot be written into the event"""
    text = f'{{"at_ns": 1, "do": "exempt"{fields}}}'
    said = str(events.check(text, "e.jsonl")[0])
    assert said.startswith("e.jsonl:" + fault)


def test_a_fault_of_its_own_comes_before_the_list(tmp_path: Path) -> None:
    """B79: a list that is not there is not asked for by an event that is wrong"""
    name = str(tmp_path / "e.jsonl")
    (said,) = events.check('{"at_ns": -1, "do": "exempt", "file": "none.toml"}', name)
    assert said.key == "[0].at_ns"


def test_the_event_is_about_no_line_of_the_book(tmp_path: Path) -> None:
    """X2, N6"""
    (tmp_path / "a.toml").write_text(LIST.format("192.0.2.1"))
    assert len(events.load(put(tmp_path, exempt("a.toml")), subscribers.Book(()))) == 1


def test_config_check_looks_at_the_lists_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """B79"""
    path = put(tmp_path, exempt("a.toml"))
    with pytest.raises(SystemExit) as caught:
        main(["config", "check", "--events", str(path)])
    assert caught.value.code == 3
    assert f"{path}:1:38: [0].file: {tmp_path}/a.toml: cannot be read" in capsys.readouterr().err
    (tmp_path / "a.toml").write_text(LIST.format("192.0.2.1"))
    with pytest.raises(SystemExit) as caught:
        main(["config", "check", "--events", str(path)])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"{path}: fine\n"
