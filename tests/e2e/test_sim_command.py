"""`pktoll sim`: what it says, and with which status; gateways with another policy are found out."""

import json
import socket
import threading
from pathlib import Path

import pytest

from gateway_sim.live.child import Child, Place
from tests.support.command import call
from tests.support.serve import serving
from tests.support.simlive import text, traffic

LIVE = 'exempt = ["own"]\nexempt_late_ms = 400\nsettle_ms = 200'
ATTACH = 'at_ms = 0\ndo = "attach"'
DETACH = 'at_ms = 2_900\ndo = "detach"'
SLOW = traffic(at_ms=300, down_bps=600_000, for_ms=1_000, packet_bytes=1_000, expect="slow")
EXEMPT = traffic(at_ms=300, down_bps=80_000, for_ms=1_000, packet_bytes=1_000, server="own")
HEAVY = traffic(at_ms=300, down_bps=1_200_000, for_ms=400, packet_bytes=1_000, expect="any")
LINES = """
[[population]]
contracts = 4
plan = "minimum-start"
started = 2013-11-01
network = "10.64.0.0/24"
"""


@pytest.fixture(autouse=True)
def _compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway has compiled kernels in every mode of the tests."""
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "0")


def scenario(folder: Path, *steps: str) -> str:
    path = folder / "short.toml"
    whole = text(*steps, live=LIVE, lines=LINES).replace("duration_s = 60", "duration_s = 3")
    path.write_text(whole, encoding="utf-8")
    return str(path)


def free_port() -> int:
    """A UDP port of the loopback that is free now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        port: int = udp.getsockname()[1]
        return port


def test_a_gateway_with_another_policy_is_found_out(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """P2, P5, X1: twice the rate, and nothing exempt."""
    config = tmp_path / "other.toml"
    config.write_text(
        "[speed.slow]\nrate_bps = 400_000\n[exempt]\nendpoint = []\n", encoding="utf-8"
    )
    slow = SLOW + '\nsims = "1-2"'
    others = [step + '\nsims = "3-4"' for step in (EXEMPT, HEAVY)]
    path = scenario(tmp_path, ATTACH, slow, *others, DETACH)
    ended = call(capfd, "sim", path, "--config", str(config))
    said = " ".join(ended.out.split())
    assert ended.status == 5
    assert "arrived earlier than 200000 bit/s allow" in said
    assert "a packet took" in said
    assert "bytes counted as exempt" in said
    assert "counts on both sides pass" in said
    assert "made up: 4 SIMs, 3 s: fail" in said


def test_a_gateway_that_knows_another_password_is_found_out(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """N1: the configuration may be named by the scenario, beside it."""
    (tmp_path / "other.toml").write_text('[access]\npassword = "other"\n', encoding="utf-8")
    path = Path(scenario(tmp_path, ATTACH))
    path.write_text(
        path.read_text("utf-8").replace("[live]", '[live]\nconfig = "other.toml"'), "utf-8"
    )
    ended = call(capfd, "sim", str(path))
    assert ended.status == 5
    assert "attach of hdo00000001: refused with cause 92, expected: accepted" in " ".join(
        ended.out.split()
    )


def test_a_gateway_that_runs_already_is_driven_and_goes_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Without its service, counts are left out."""
    import gateway_sim
    from gateway_sim.live.book import write_book
    from gateway_sim.live.run import free_address

    path = scenario(tmp_path, ATTACH, SLOW, DETACH)
    write_book(gateway_sim.load(path), tmp_path / "lines.toml")
    given = ("--subscribers", str(tmp_path / "lines.toml"), "--start", "2013-11-05T12:00:00+09:00")
    at = f"127.0.0.1:{free_port()}"
    with serving(tmp_path, *given, "--sgi", f"udp:127.0.0.1:0,{at}") as gateway:
        ready = gateway.ready
        arguments = ["--gateway", ready["gtp_c"], "--gtp-u", ready["gtp_u"], "--sgi", ready["sgi"]]
        arguments += ["--sgi-local", at, "--local", free_address()]
        ended = call(capfd, "sim", path, *arguments, "--format", "json")
        report = json.loads(ended.out)
        statuses = {check["name"]: check["status"] for check in report["checks"]}
        assert (
            statuses.pop("audit")
            == statuses.pop("balances")
            == statuses.pop("contracts")
            == "skipped"
        )
        assert set(statuses.values()) == {"pass", "skipped"}
        assert (ended.status, report["result"]) == (0, "pass")
        assert statuses["slow state: shaped"] == "pass"
        assert gateway.process.poll() is None


def test_a_gateway_that_does_not_start_is_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "wrong.toml"
    config.write_text("nonsense = 1\n", encoding="utf-8")
    ended = call(capfd, "sim", scenario(tmp_path, ATTACH), "--config", str(config))
    assert ended.status == 1
    assert ended.err.startswith("pktoll: sim: the gateway did not start: ")
    assert "nonsense" in ended.err


def test_a_gateway_that_ends_in_mid_run_is_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = Child.ready

    def short_lived(child: Child) -> Place:
        place = ready(child)
        threading.Timer(1, child.process.kill).start()
        return place

    monkeypatch.setattr(Child, "ready", short_lived)
    ended = call(capfd, "sim", scenario(tmp_path, ATTACH, SLOW))
    assert (ended.status, ended.out) == (1, "")
    assert ended.err.startswith("pktoll: sim: the gateway has ended in mid-run; ")
    assert "ended with status -9" in ended.err


AT = ("--gateway", "127.0.0.1:1", "--gtp-u", "127.0.0.1:2", "--sgi", "127.0.0.1:3")


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("--gtp-u", "127.0.0.1:1"), 2, "without --gateway one is started"),
        (AT, 2, "go together with --gateway"),
        (("--gateway", "127.0.0.1"), 2, "is not ADDRESS:PORT"),
        (("--gateway", "::1:7"), 2, "is not ADDRESS:PORT"),
        (("--gateway", "127.0.0.1:65536"), 2, "65536 is not a UDP port"),
        ((*AT, "--sgi-local", "127.0.0.1:0"), 1, "name the gateway's service with --service"),
        ((*AT, "--sgi-local", "192.0.2.1:9"), 1, "cannot listen on UDP 192.0.2.1:9"),
        (
            (*AT, "--sgi-local", "127.0.0.1:0", "--local", "192.0.2.1"),
            1,
            "cannot listen on UDP 192.0.2.1",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    status: int,
    words: str,
) -> None:
    path = scenario(tmp_path, ATTACH, 'at_ms = 1\ndo = "suspend"')
    ended = call(capfd, "sim", path, *arguments)
    assert (ended.status, ended.out) == (status, "")
    assert words in ended.err
    assert ended.err.count("\n") == 1


def test_a_scenario_for_captures_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    ended = call(capfd, "sim", "family")
    assert ended.status == 3
    assert "live: is missing" in ended.err
