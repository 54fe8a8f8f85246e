"""A server inside a loop of your own, without threads, and a listener to its telemetry."""

import select
import tempfile
import threading

from engine import Engine, clock
from engine.service.client import Client
from engine.service.listen import Listener
from engine.service.server import Options, Server

NOON_NS = 1_383_620_400 * 10**9
TENTH_NS = 10**8


def use(service: str, telemetry: str, done: threading.Event) -> None:
    """Another program: attaches a SIM, suspends it, and hears of both."""
    with Client(service) as client, Listener(telemetry, ["events", "totals"]) as listener:
        told = listener.receive()
        while told is None or told.topic != "totals":  # now it hears everything
            told = listener.receive()
        line = client.attach(imsi="440100000000001", at_ns=NOON_NS)
        client.suspend(line)
        heard: list[str] = []
        while "suspend" not in heard:
            told = listener.receive()
            if told is not None and told.topic == "events":
                heard += [kind for _, kind, _ in told.what["events"]]
    print(f"heard of: {', '.join(heard)}")
    done.set()


def main() -> None:
    """One poll for everything that the program waits for."""
    done = threading.Event()
    with tempfile.TemporaryDirectory() as folder, Engine.open() as engine:
        options = Options(telemetry=f"ipc://{folder}/telemetry", interval_ns=TENTH_NS)
        with Server(engine, f"ipc://{folder}/service", options) as server:
            assert server.telemetry is not None
            user = threading.Thread(target=use, args=(server.endpoint, server.telemetry, done))
            user.start()
            poll = select.poll()
            poll.register(server.fd, select.POLLIN)
            while not done.is_set():
                while server.serve_ready(16) == 16:  # there may be more, of which fd does not tell
                    pass
                server.tick(clock.elapsed_ns())
                poll.poll(20)
            user.join()


if __name__ == "__main__":
    main()
