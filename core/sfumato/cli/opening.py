"""From the command line to the window, which is found by name: the engine does not know it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated

import typer

from sfumato.cli.answers import answering
from sfumato.errors import InputError, SfumatoError

GROUP = "sfumato.window"


def open_window(
    files: Annotated[list[Path] | None, typer.Argument(help="Pictures or projects.")] = None,
) -> None:
    """Open the window."""
    with answering():
        for file in files or ():
            if not file.exists():
                raise InputError(f"'{file}' is neither a command nor a file.", advice="See `sfumato --help`.")
        raise typer.Exit(window_main()([str(file) for file in files or ()]))


def window_main() -> Callable[[Sequence[str]], int]:
    """The window's entry point. Raises `SfumatoError` if none is installed or it cannot be started."""
    for point in entry_points(group=GROUP):
        try:
            return point.load()
        except ImportError as error:
            raise SfumatoError(
                f"The window cannot be opened: {error}.",
                advice="The commands work without it; see `sfumato --help`.",
            ) from error
    raise SfumatoError("No window is installed; the commands work without it.")
