"""The command line. Torch is imported by the commands that run a network, so that `--help` is quick."""

from __future__ import annotations

import io
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from sfumato.cli.answers import answering, version_text
from sfumato.cli.attention import attention, trajectory
from sfumato.cli.bench import bench
from sfumato.cli.control import control
from sfumato.cli.edits import edit, generate, invert
from sfumato.cli.elbo import elbo
from sfumato.cli.listings import methods
from sfumato.cli.masks import mask
from sfumato.cli.models import models
from sfumato.cli.opening import open_window
from sfumato.cli.replay import replay
from sfumato.cli.selftest import self_test
from sfumato.cli.sweep import sweep

__all__ = ["app", "main"]


class _OpensPictures(TyperGroup):
    """A first word that is no command is the name of a picture to open in the window."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.commands:
            args = ["open", *args]
        return super().resolve_command(ctx, args)


app = typer.Typer(
    name="sfumato",
    cls=_OpensPictures,
    help="Edit pictures by what they show. Without a command, or with a picture, the window opens.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
recipes = typer.Typer(help="Run recipes again.", rich_markup_mode=None, no_args_is_help=True)
app.add_typer(recipes, name="recipe")
app.add_typer(models, name="models")
app.add_typer(bench, name="bench")
app.add_typer(sweep, name="sweep")
for command in (edit, invert, generate, mask, attention, trajectory, elbo, control, methods):
    app.command()(command)
app.command("open", hidden=True)(open_window)
recipes.command()(replay)


@app.callback(invoke_without_command=True)
def start(
    ctx: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Say which version this is.")] = False,
    check: Annotated[
        bool,
        typer.Option("--self-test", help="Edit a sample, open the window offscreen, and say what works."),
    ] = False,
) -> None:
    """Decide what happens without a command."""
    if version:
        typer.echo(version_text())
    elif check:
        with answering():
            self_test()
    elif ctx.invoked_subcommand is None:
        open_window([])
    else:
        return
    raise typer.Exit


def main() -> None:
    """The entry point of the `sfumato` command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file's name may hold what a terminal cannot show
            stream.reconfigure(errors="backslashreplace")
    app()
