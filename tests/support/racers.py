"""Processes that ask one coupon database for slices at the same moment."""

import json
import subprocess
import sys
from collections.abc import Sequence

from engine.pool import Grant
from engine.pool.store import StoreOptions, open_store

CONTRACT = "hdd1"


def race(url: str, gateways: int, rounds: int, repeat: int = 1) -> list[list[Grant]]:
    """Let that many gateways ask for `rounds` slices each, all starting together.

    Every request is said `repeat` times. What each of them was answered, one list a gateway.
    """
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.support.racers", url, f"g{n}", str(rounds), str(repeat)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(gateways)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = []
    for process in processes:
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        answers.append([Grant(*grant) for grant in json.loads(out)])
    return answers


def main(arguments: Sequence[str]) -> None:
    """One gateway with one line: opens it, says so, and asks once it is told to."""
    url, gateway, rounds, repeat = arguments[0], arguments[1], int(arguments[2]), int(arguments[3])
    store = open_store(url, StoreOptions(gateway=gateway, answer_ms=60_000))
    line = f"line-{gateway}"
    store.open_line(CONTRACT, line, 0)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    answers: list[Grant] = []
    for number in range(rounds):
        said = {store.grant(f"{gateway}-{number}", CONTRACT, line, 5) for _ in range(repeat)}
        answers += said
    store.close()
    sys.stdout.write(json.dumps(answers))


if __name__ == "__main__":
    main(sys.argv[1:])
