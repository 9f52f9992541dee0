"""`sfumato methods`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated

import typer

from sfumato import compose
from sfumato.cli.answers import answering
from sfumato.errors import InputError
from sfumato.events import Broken
from sfumato.method import MethodInfo
from sfumato.params import Control
from sfumato.preprocessor import PreprocessorInfo

_TITLES = {"editor": "Ways to edit", "inverter": "Ways to invert", "masker": "Ways to make a mask"}
_NEEDS_INVERSION = {"required": "an inversion", "optional": "an inversion, if it likes"}


def methods(
    name: Annotated[str | None, typer.Argument(help="One method, with all its parameters.")] = None,
) -> None:
    """List the ways to invert and to edit."""
    with answering():
        ready = compose.workshop().registry.describe()
        if name is not None:
            found: list[MethodInfo | PreprocessorInfo] = [info for info in ready.methods if info.name == name]
            found += [info for info in ready.controls if info.name == name]
            if not found:
                known = ", ".join(sorted(info.name for info in (*ready.methods, *ready.controls)))
                raise InputError(f"There is no method '{name}'.", advice=f"There are: {known}.")
            typer.echo("\n".join(line for info in found for line in described(info)))
            return
        width = max((len(info.name) for info in (*ready.methods, *ready.controls)), default=0) + 2
        for kind, title in _TITLES.items():
            typer.echo(f"{title}:")
            for info in ready.methods:
                if info.kind == kind:
                    typer.echo(f"  {info.name:<{width}}{info.title}: {info.summary}")
        typer.echo("Ways to make a control image:")
        for made in ready.controls:
            typer.echo(f"  {made.name:<{width}}{made.title}: {made.summary}")
        _tell_broken(ready.broken)


def described(info: MethodInfo | PreprocessorInfo) -> Iterator[str]:
    """A method in full: what it is, what it needs, every parameter."""
    kind = info.kind if isinstance(info, MethodInfo) else "preprocessor"
    yield f"{info.name} ({kind}): {info.title}"
    yield f"  {info.summary}"
    if isinstance(info, MethodInfo):
        needs = sorted(need.value for need in info.needs)
        needs += [_NEEDS_INVERSION[info.inversion]] if info.inversion in _NEEDS_INVERSION else []
        yield f"  Needs: {', '.join(needs) or 'nothing'}."
        if info.paper:
            yield f"  Paper: {info.paper}"
    yield f"  From: {info.origin}"
    yield f"  Parameters{'' if info.controls else ': none'}"
    for control in info.controls:
        yield f"    {control.name} = {control.default!r}  ({_range(control)})"
        yield f"        {control.label}. {control.help}"


def _range(control: Control) -> str:
    if control.choices:
        return " | ".join(control.choices)
    if control.minimum is not None and control.maximum is not None:
        kind = "whole number, " if control.kind == "integer" else ""
        unit = f" {control.unit}" if control.unit else ""
        return f"{kind}{control.minimum:g} to {control.maximum:g}{unit}"
    return "true | false" if control.kind == "flag" else control.kind


def _tell_broken(broken: Iterable[Broken]) -> None:
    for each in broken:
        typer.echo(f"Not used: {each.plugin} ({each.error})", err=True)
