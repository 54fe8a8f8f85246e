"""Who may attach to a live gateway: the table [access] of the configuration."""

from pathlib import Path

import pytest

from engine import config


def told(text: str) -> list[str]:
    """Every fault as its line of text, without the name of the file."""
    return [str(fault).removeprefix("f.toml:") for fault in config.check(text, "f.toml")]


def test_the_default_is_what_the_service_says() -> None:
    """N1-N5"""
    access = config.load(None).access
    assert access == config.Access()
    assert (access.apns, access.user, access.password) == (("iijmio.jp",), "mio@iij", "iij")
    assert (access.networks, access.idle_s, access.session_s) == (("440-10",), 1_800, 86_400)
    assert set(access.rats) == {"EUTRAN", "UTRAN", "GERAN", "HSPA Evolution"}


def test_settings_can_be_changed_one_by_one(tmp_path: Path) -> None:
    """N3"""
    path = tmp_path / "own.toml"
    path.write_text(
        '[access]\nidle_s = 0\napns = ["Example.NET"]\npool6 = []\ndns6 = ["2001:DB8::1"]\n'
        'pool4 = ["10.0.0.0/24", "10.0.1.0/24"]\npeers = ["127.0.0.0/8"]\n'
    )
    assert config.load(path).access == config.Access(
        idle_s=0,
        apns=("example.net",),
        pool6=(),
        dns6=("2001:db8::1",),
        pool4=("10.0.0.0/24", "10.0.1.0/24"),
        peers=("127.0.0.0/8",),
    )


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('apns = ["a..b"]', '2:9: access.apns[0]: "a..b" is no APN network identifier'),
        ('apns = ["x.gprs"]', '2:9: access.apns[0]: "x.gprs" is no APN network identifier'),
        ('apns = ["rac1.jp"]', '2:9: access.apns[0]: "rac1.jp" is no APN network identifier'),
        (f'apns = ["{"a" * 63}"]', "2:9: access.apns[0]: "),
        ("apns = []", "2:8: access.apns: a list is not allowed; allowed: a list, at least one"),
        ('apns = ["a", "a"]', '2:14: access.apns[1]: APN "a" is there already, in line 2'),
        ('networks = ["44010"]', '2:13: access.networks[0]: "44010" is not allowed; allowed: MCC'),
        ('rats = ["LTE"]', '2:9: access.rats[0]: "LTE" is not allowed; allowed: "EUTRAN" or "UTR'),
        ('password = ""', '2:12: access.password: "" is not allowed; allowed: 1 to 64 printable'),
        (f'password = "{"x" * 65}"', "2:12: access.password: "),
        ('pool4 = ["10.0.0.0/30"]', '2:10: access.pool4[0]: "10.0.0.0/30" cannot be a pool; allow'),
        (
            'pool4 = ["2001:db8::/40"]',
            '2:10: access.pool4[0]: "2001:db8::/40" cannot be a pool; al',
        ),
        ('pool6 = ["10.0.0.0/24"]', '2:10: access.pool6[0]: "10.0.0.0/24" cannot be a pool; allow'),
        (
            'pool6 = ["2001:db8::/64"]',
            '2:10: access.pool6[0]: "2001:db8::/64" cannot be a pool; al',
        ),
        ('pool4 = ["10.0.0.1/24"]', '2:10: access.pool4[0]: "10.0.0.1/24" has bits set after the'),
        ("pool4 = [1]", "2:10: access.pool4[0]: 1 is not allowed; allowed: a text in quotes"),
        (
            'pool4 = ["10.1.0.0/16", "10.0.0.0/8", "10.2.0.0/16"]',
            '2:25: access.pool4[1]: "10.0.0.0/8" overlaps the pool 10.1.0.0/16',
        ),
        (
            'pool6 = ["2001:db8::/40", "2001:db8::/48"]',
            '2:27: access.pool6[1]: "2001:db8::/48" overlaps the pool 2001:db8::/40',
        ),
        ('dns4 = ["2001:db8::1"]', '2:9: access.dns4[0]: "2001:db8::1" is no address; allowed: o'),
        ('dns6 = ["dns"]', '2:9: access.dns6[0]: "dns" is no address; allowed: one of IPv6'),
        ("sessions_max = 0", "2:16: access.sessions_max: 0 is not allowed; allowed: an integer 1"),
        (
            "n3_requests = true",
            "2:15: access.n3_requests: true is not allowed; allowed: an integer",
        ),
        ("t3_response = 1", "2:1: access.t3_response: unknown key, did you mean t3_response_ms?;"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(text: str, fault: str) -> None:
    """B79"""
    faults = told(f"[access]\n{text}\n")
    assert faults
    assert faults[0].startswith(fault)


def test_pools_that_are_wrong_otherwise_are_passed_over() -> None:
    """each fault once"""
    assert len(told('[access]\npool4 = ["x", "10.0.0.0/8", "10.0.0.0/8"]\n')) == 2
    assert len(told("access = 1\n")) == 1
