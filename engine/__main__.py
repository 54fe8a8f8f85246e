"""`python -m engine` is the command `pktoll`."""

from engine.cli.main import run

run()
