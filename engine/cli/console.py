"""Where tables are printed."""

from rich.console import Console


class Output(Console):
    """Standard output. A reader that has gone is left to the command's entry point, which says nothing."""

    def on_broken_pipe(self) -> None:
        raise
