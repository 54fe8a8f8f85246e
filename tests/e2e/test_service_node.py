"""A client written in another language, from the protocol's page alone, against a real service."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from engine import verdict
from engine.units import MB
from tests.support.service import ICCID, MS, NOON_NS, running


def need_node() -> str:
    """Node; where it is missing the test is skipped, in a run of all checks it fails."""
    found = shutil.which("node")
    if found is None:
        words = "node is not installed: no client in another language talks to the service"
        if os.environ.get("CI"):
            pytest.fail(words)
        pytest.skip(words)
    return found


def test_a_client_in_another_language_has_packets_metered(project: Path, tmp_path: Path) -> None:
    """D1, P1, P2, P3: hello, attach, three packets, switch, three more, usage."""
    with running(tmp_path, endpoint="tcp://127.0.0.1:*") as service:
        host, _, port = service.service.removeprefix("tcp://").partition(":")
        command = [need_node(), str(project / "tests/support/client.mjs"), host, port]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert service.stop()[0] == 0
    said = json.loads(done.stdout)
    assert said["line"] == ICCID
    assert said["fast"] == [
        {
            "departure_ns": str(NOON_NS + n * MS),
            "code": verdict.CHARGED,
            "charged_bytes": 1_000,
        }
        for n in range(3)
    ]
    assert [v["code"] for v in said["slow"]] == [verdict.SLOW] * 3
    assert {v["charged_bytes"] for v in said["slow"]} == {0}
    usage = said["usage"]
    assert (usage["coupon"], usage["granted_bytes"]) == (False, 10 * MB)
    assert usage["balance_bytes"] == 10 * MB - 3_000
    assert (usage["up"]["charged_bytes"], usage["up"]["slow_bytes"]) == (3_000, 3_000)
    assert said["refused"].startswith("REFUSED: no line")
