"""The exempt list: rating groups, and every fault of an entry with line and column."""

import ipaddress
from pathlib import Path

import pytest

from engine import config
from engine.config import model
from engine.errors import ConfigError

DOCUMENTATION = [
    ipaddress.ip_network(text)
    for text in (
        *("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"),
        *("2001:db8::/32", "3fff::/20"),
    )
]
"""RFC 5737, RFC 3849, RFC 9637"""
DNS, MAIL, WEB = 10, 20, 30
MAIL_PORTS = (25, 110, 143, 465, 587, 993, 995)


def told(text: str) -> list[str]:
    """Every fault as its line of text, without the name of the file."""
    return [str(fault).removeprefix("f.toml:") for fault in config.check(text, "f.toml")]


def load_text(tmp_path: Path, text: str) -> config.Settings:
    path = tmp_path / "own.toml"
    path.write_text(text, encoding="utf-8")
    return config.load(path)


def exempt_group(settings: config.Settings, address: str, protocol: str, port: int) -> int | None:
    """Rating group of an address, protocol and port of the network side, looked up one by one."""
    for endpoint in settings.exempt.endpoints:
        ports = not endpoint.ports or port in endpoint.ports
        held = [ipaddress.ip_network(text) for text in endpoint.prefixes]
        near = any(ipaddress.ip_address(address) in net for net in held)
        if near and ports and endpoint.protocol in ("any", protocol):
            return endpoint.rating_group
    return None


def test_the_packaged_list_is_of_documentation_addresses_and_says_so(project: Path) -> None:
    """X2"""
    for name in ("iijmio.toml", "exempt-example.toml"):
        path = project / "configs" / name
        for endpoint in config.load_exempt(path).endpoints:
            for text in endpoint.prefixes:
                net = ipaddress.ip_network(text)
                assert any(
                    net.version == known.version and known.supernet_of(net)  # type: ignore[arg-type]
                    for known in DOCUMENTATION
                ), text
        words = path.read_text(encoding="utf-8")
        assert all(word in words for word in ("PLACEHOLDERS", "RFC 5737", "RFC 3849", "RFC 9637"))


def test_the_packaged_list_has_the_ports_of_dns_mail_and_web() -> None:
    """X1, X2: and HTTP/3, which browsers go over to unasked"""
    found = {
        (endpoint.rating_group, protocol, port)
        for endpoint in config.load(None).exempt.endpoints
        for protocol in (("tcp", "udp") if endpoint.protocol == "any" else (endpoint.protocol,))
        for port in endpoint.ports
    }
    assert found == {
        *((DNS, protocol, 53) for protocol in ("udp", "tcp")),
        *((MAIL, "tcp", port) for port in MAIL_PORTS),
        *((WEB, "tcp", port) for port in (80, 443)),
        (WEB, "udp", 443),
    }
    assert [e.name for e in config.load(None).exempt.endpoints if not e.ports] == []


def test_each_of_the_operators_servers_is_exempt_for_its_service_only() -> None:
    """X1, X2: over IPv4 and IPv6"""
    settings = config.load(None)
    for address in (
        "192.0.2.53",
        "198.51.100.53",
        "198.51.100.54",
        "2001:db8::53",
        "3fff:0:53::54",
    ):
        assert exempt_group(settings, address, "udp", 53) == DNS
        assert exempt_group(settings, address, "tcp", 53) == DNS
        assert exempt_group(settings, address, "tcp", 853) is None
    for address in ("192.0.2.25", "203.0.113.25", "2001:db8::25"):
        assert {exempt_group(settings, address, "tcp", port) for port in MAIL_PORTS} == {MAIL}
        assert exempt_group(settings, address, "udp", 25) is None
    assert exempt_group(settings, "198.51.100.31", "tcp", 587) == MAIL
    assert exempt_group(settings, "198.51.100.31", "tcp", 993) is None
    assert exempt_group(settings, "3fff:0:110::99", "tcp", 993) == MAIL
    for address in ("192.0.2.80", "198.51.100.83", "203.0.113.87", "2001:db8::80", "3fff:0:443::1"):
        assert exempt_group(settings, address, "tcp", 80) == WEB
        assert exempt_group(settings, address, "udp", 443) == WEB
        assert exempt_group(settings, address, "udp", 80) is None
    for address in ("192.0.2.52", "198.51.100.84", "203.0.113.88", "2001:db8::81", "3fff:1::53"):
        assert exempt_group(settings, address, "tcp", 80) is None


def test_rating_groups_of_the_default_cap_dns_and_nothing_else() -> None:
    """X3, B41x: 50 MB per SIM and day"""
    exempt = config.load(None).exempt
    assert (exempt.charge, exempt.count) == (False, False)
    assert exempt.rating_groups == (
        config.RatingGroup(DNS, "dns", 50 << 20),
        config.RatingGroup(MAIL, "mail", 0),
        config.RatingGroup(WEB, "web", 0),
    )


def test_a_list_of_ones_own_needs_no_groups(tmp_path: Path) -> None:
    """X2, X3: a file from before there were any stays good"""
    own = '[[exempt.endpoint]]\nname = "all"\nprefixes = ["198.51.100.7", "2001:DB8::/32"]\n'
    exempt = load_text(tmp_path, own).exempt
    assert exempt.endpoints == (config.Endpoint("all", ("198.51.100.7/32", "2001:db8::/32")),)
    assert exempt.endpoints[0].rating_group == 0
    assert exempt.rating_groups == config.load(None).exempt.rating_groups
    both = (
        own
        + 'rating_group = 4_294_967_295\n[[exempt.rating_group]]\nid = 4_294_967_295\nname = "g"\n'
    )
    exempt = load_text(tmp_path, both + "[exempt]\ncharge = true\ncount = true\n").exempt
    assert exempt.rating_groups == (config.RatingGroup((1 << 32) - 1, "g"),)
    assert (exempt.charge, exempt.count) == (True, True)
    assert load_text(tmp_path, "[exempt]\nendpoint = []\n").exempt.endpoints == ()


ENTRY = '[[exempt.endpoint]]\nname = "a"\nprefixes = ["192.0.2.0/24"]\n'
GROUP = '[[exempt.rating_group]]\nid = {}\nname = "{}"\n'


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            ENTRY + "rating_group = 7",
            '4:16: exempt.endpoint[0].rating_group: exempt endpoint "a": no rating group has the id 7; '
            "allowed: 0, 10, 20, 30",
        ),
        (
            ENTRY + "rating_group = 8\n" + GROUP.format(7, "g"),
            '4:16: exempt.endpoint[0].rating_group: exempt endpoint "a": no rating group has the id 8; '
            "allowed: 0, 7",
        ),
        (
            ENTRY + "rating_group = -1",
            "4:16: exempt.endpoint[0].rating_group: -1 is not allowed; allowed: an integer 0 .. 4294967295",
        ),
        (
            ENTRY + "rating_group = 4_294_967_296\n" + GROUP.format(7, "g"),
            "4:16: exempt.endpoint[0].rating_group: 4294967296 is not allowed; allowed: an integer 0 .. ",
        ),
        (
            ENTRY + "rating_group = '10'",
            '4:16: exempt.endpoint[0].rating_group: "10" is not allowed;',
        ),
        (
            ENTRY + "ports = [0]",
            "4:10: exempt.endpoint[0].ports[0]: 0 is not allowed; allowed: an integer 1 .. 65535",
        ),
        (
            ENTRY + "ports = [53, 65_536]",
            "4:14: exempt.endpoint[0].ports[1]: 65536 is not allowed;",
        ),
        (
            ENTRY + "ports = [53, 80,\n 53]",
            "5:2: exempt.endpoint[0].ports[2]: port 53 is there already, in line 4",
        ),
        (
            ENTRY.replace('["192.0.2.0/24"]', "[]"),
            "3:12: exempt.endpoint[0].prefixes: a list is not allowed; allowed: a list, at least one of",
        ),
        ("[exempt]\ncharge = 1", "2:10: exempt.charge: 1 is not allowed; allowed: true or false"),
        (
            "[exempt]\ngroup = 1",
            "2:1: exempt.group: unknown key; allowed: endpoint, charge, count, ",
        ),
    ],
)
def test_a_wrong_entry_says_where_and_what_is_allowed(text: str, fault: str) -> None:
    """B79, X2, X3: ports 0, 65536, twice; a rating group that is not there"""
    found = told(text)
    assert found[0].startswith(fault)
    # A fault is not told twice, by what it is and by what it leads to.
    assert len(found) == 1


@pytest.mark.parametrize(
    ("prefix", "words"),
    [
        ("10.0.0.0/33", "is no prefix; allowed: such as"),
        ("2001:db8::/129", "is no prefix"),
        ("10.0.0.1/8", "has bits set after the prefix; did you mean 10.0.0.0/8?"),
        ("::ffff:192.0.2.0/120", "is an IPv4 prefix in disguise; write 192.0.2.0/24"),
        ("::ffff:192.0.2.1", "is an IPv4 prefix in disguise; write 192.0.2.1/32"),
        ("::ffff:0:0/96", "is an IPv4 prefix in disguise; write 0.0.0.0/0"),
        ("fe80::%eth0/64", "has a zone; leave out what follows %"),
        ("::/0", "covers half of the Internet; allowed: /2 or longer"),
        ("8000::/1", "covers half of the Internet; allowed: /2 or longer"),
    ],
)
def test_a_wrong_prefix_says_where(prefix: str, words: str) -> None:
    """B79, X2: prefix /33, an IPv4-mapped one, host bits"""
    (line,) = told(
        f'[[exempt.endpoint]]\nname = "a"\nprefixes = ["198.51.100.0/24",\n  "{prefix}"]\n'
    )
    assert line.startswith("4:3: exempt.endpoint[0].prefixes[1]: ")
    assert words in line


def test_a_prefix_around_the_mapped_addresses_is_not_one_of_them() -> None:
    """X2: ::ffff:0:0/96 is a small part of these"""
    text = '[[exempt.endpoint]]\nname = "a"\nprefixes = ["{}"]\n'
    for prefix in ("::/2", "4000::/2", "::/64", "::fffe:0:0/95", "0.0.0.0/0"):
        assert told(text.format(prefix)) == []


def test_rating_groups_are_told_apart_by_id_and_by_name() -> None:
    """X3, B79"""
    lines = told(
        GROUP.format(7, "g")
        + GROUP.format(7, "h")
        + GROUP.format(8, "g")
        + "[exempt]\nendpoint = []"
    )
    assert lines == [
        "5:6: exempt.rating_group[1].id: rating group 7 is there already, in line 2",
        '9:8: exempt.rating_group[2].name: rating group "g" is there already, in line 3',
    ]


def test_groups_of_ones_own_must_do_for_the_default_list() -> None:
    """X3: said by the default configuration, so that the file has no line for its endpoints"""
    lines = told(GROUP.format(10, "dns"))
    assert len(lines) == len(
        [e for e in config.load(None).exempt.endpoints if e.rating_group != DNS]
    )
    assert lines[0] == (
        '1:3: exempt.rating_group: exempt endpoint "mail": no rating group has the id 20; allowed: 0, 10'
    )


def test_what_rating_groups_there_are_is_asked_when_that_is_known() -> None:
    """B79"""
    (line,) = told(ENTRY + "rating_group = 7\n[[exempt.rating_group]]\nid = 0\nname = 'g'\n")
    assert line.startswith(
        "6:6: exempt.rating_group[0].id: 0 is not allowed; allowed: an integer 1 .."
    )
    (line,) = told("[exempt]\nrating_group = 5\nendpoint = []\n")
    assert line.startswith(
        "2:16: exempt.rating_group: 5 is not allowed; allowed: a list, at most 4096 of"
    )
    (line, *_) = told("[exempt]\nrating_group = [{id = 'x', name = 'g'}]\n")
    assert line.startswith('2:23: exempt.rating_group[0].id: "x" is not allowed')


def test_there_may_be_so_many_rating_groups_and_no_more() -> None:
    """X3: their counters have places of their own"""
    groups = "".join(GROUP.format(k + 1, f"g{k}") for k in range(model.RATING_GROUPS_MAX + 1))
    (line,) = told(groups + "[exempt]\nendpoint = []\n")
    assert "exempt.rating_group: a list is not allowed; allowed: a list, at most 4096 of:" in line
    fewer = groups[: groups.rindex("[[")] + ENTRY + "rating_group = {}\n"
    assert told(fewer.format(model.RATING_GROUPS_MAX)) == []
    (line,) = told(fewer.format(5_000))
    assert line.endswith(
        "no rating group has the id 5000; allowed: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ..."
    )


def test_only_a_file_with_an_exempt_list_can_be_one(tmp_path: Path) -> None:
    """X2: another file by mistake would bring the default list back unseen"""
    path = tmp_path / "list.toml"
    path.write_text(ENTRY)
    assert config.load_exempt(path) == config.load(path).exempt
    for text in ("", "[speed.slow]\nrate_bps = 1\n"):
        path.write_text(text)
        with pytest.raises(
            ConfigError, match=r"list\.toml:1:1: exempt: is missing; write \[\[exempt"
        ):
            config.load_exempt(path)
    path.write_text(ENTRY + "[speed.slow]\nrate_bps = 0\n")
    with pytest.raises(ConfigError, match=r"list\.toml:5:12: speed\.slow\.rate_bps: 0 is not"):
        config.load_exempt(path)
