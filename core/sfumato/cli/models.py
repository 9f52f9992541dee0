"""`sfumato models` and what is under it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from sfumato import compose
from sfumato.cli.answers import answering, walked
from sfumato.cli.options import size_of
from sfumato.errors import InputError
from sfumato.models.shelf import Details, Shelf
from sfumato.params import explain
from sfumato.plugins import Registry
from sfumato.settings import ModelDefaults
from sfumato.walking import Walk

Name = Annotated[str, typer.Argument(metavar="NAME", help="As `sfumato models` lists it.")]

models = typer.Typer(
    help="The models there are: list, add, look at, prefer, download, convert, remove.", rich_markup_mode=None
)


@models.callback(invoke_without_command=True)
def start(ctx: typer.Context) -> None:
    """List the models, where no other command follows."""
    if ctx.invoked_subcommand is None:
        show()


@models.command("list")
def show() -> None:
    """List the models and where each is."""
    with answering():
        registry, shelf = _registry_and_shelf()
        listed = shelf.list()
        for model in listed:
            if model.problem:
                typer.echo(f"Not used: {model.name} ({model.problem})", err=True)
                continue
            preferred = ", used when none is named" if model.preferred else ""
            typer.echo(f"{model.name}: {model.title}, {model.size} pixels, {model.origin.value}{preferred}")
            for line in filter(None, (model.note, str(model.place))):
                typer.echo(f"    {line}")
        for network in registry.describe().networks:
            typer.echo(f"{network.name}: {network.title}, a ControlNet")
        for each in registry.broken:
            if each.plugin not in {model.name for model in listed}:
                typer.echo(f"Not used: {each.plugin} ({each.error})", err=True)


@models.command()
def add(place: Annotated[Path, typer.Argument(metavar="PLACE", help="A folder or a file.")]) -> None:
    """Put a folder or a file on the list; it is used where it is."""
    with answering():
        model = _shelf().add(place)
        typer.echo(f"Added '{model.title}' ({model.size} pixels); it stays in {model.place}.")


@models.command()
def inspect(name: Name) -> None:
    """Say what a model is made of: family, size, parts, hash, licence."""
    with answering():
        shelf = _shelf()
        details = shelf.inspect(name)
        hashing = Walk(shelf.fingerprint(name))
        for _ in hashing:
            pass
        _tell(details, hashing.result)


@models.command()
def remove(
    name: Name,
    files: Annotated[bool, typer.Option("--files", help="Delete what Sfumato itself downloaded.")] = False,
) -> None:
    """Take a model off the list; a person's own files are never deleted."""
    with answering():
        typer.echo(_shelf().remove(name, files=files))


@models.command()
def default(
    name: Name,
    steps: Annotated[int | None, typer.Option(help="Steps its recipes start with.")] = None,
    guidance: Annotated[float | None, typer.Option(help="Guidance its recipes start with.")] = None,
    size: Annotated[str | None, typer.Option(metavar="WxH", help="Size of its new pictures.")] = None,
) -> None:
    """Use this model when none is named; or, with options, say what its own recipes start with."""
    with answering():
        shelf = _shelf()
        if steps is None and guidance is None and size is None:
            typer.echo(f"'{shelf.set_default(name).title}' is used when no model is named.")
            return
        given = {"steps": steps, "guidance": guidance, "size": None if size is None else size_of(size)}
        model = shelf.find(name)
        before = shelf.defaults(model.name).model_dump()
        after = _defaults(before | {key: value for key, value in given.items() if value is not None})
        shelf.set_defaults(model.name, after)
        typer.echo(f"Recipes for '{model.title}' start with {_said(after)}.")


@models.command()
def download(
    repo: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="A model's name on the hub.")],
    revision: Annotated[str, typer.Option(help="A branch, tag or commit.")] = "main",
    files: Annotated[list[str] | None, typer.Option(help="Only these; * stands for anything.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Fetch a model from the Hugging Face hub: the only command that uses the network."""
    from sfumato.models.download import ask, download

    with answering():
        offer = ask(repo, revision=revision, files=files or ())
        typer.echo(f"{repo}: {len(offer.files)} files, {_bytes(offer.bytes)}, commit {offer.commit[:12]}.")
        if not yes and not typer.confirm("Download them?", err=True):
            raise InputError("Nothing was downloaded.", advice="Answer y, or give --yes.")
        place = walked(download(offer, compose.chosen()))
        typer.echo(f"Downloaded to {place}; every file has the checksum the hub gave.")
        if problem := _shelf().find(repo).problem:
            typer.echo(f"It cannot be used, though: {problem}", err=True)


@models.command()
def convert(
    place: Annotated[Path, typer.Argument(metavar="FILE", help="A .ckpt, .bin or .pt file, or a folder.")],
) -> None:
    """Turn pickled weights into safetensors, in a process that can run nothing; the original stays."""
    from sfumato.models.conversion import convert

    with answering():
        typer.echo(f"Wrote {convert(place, compose.chosen())}")


def _registry_and_shelf() -> tuple[Registry, Shelf]:
    workshop = compose.workshop()
    return workshop.registry, Shelf(workshop.settings, workshop.registry.describe().checkpoints)


def _shelf() -> Shelf:
    return _registry_and_shelf()[1]


def _defaults(values: dict[str, object]) -> ModelDefaults:
    try:
        return ModelDefaults.model_validate(values)
    except ValidationError as error:
        raise InputError(explain(error, "The model's defaults")) from error


def _tell(details: Details, sha256: str) -> None:
    model, content = details.model, details.content
    typer.echo(f"{model.name}: {model.title}")
    for title, value in (
        ("Family", content.family),
        ("Pictures", f"{model.size} pixels"),
        ("Place", f"{model.place} ({model.origin.value})"),
        ("Source", details.source),
        ("On disk", _bytes(content.bytes)),
        ("SHA-256", sha256),
        ("Starts with", _said(details.defaults)),
    ):
        if value:
            typer.echo(f"  {title}: {value}")
    for part in content.parts:
        typer.echo(f"  {part.name:<16}{part.kind}, {_bytes(part.bytes)}")
    if content.licence:
        typer.echo(f"  Licence: {content.licence}")


def _said(defaults: ModelDefaults) -> str:
    given = defaults.model_dump(exclude_none=True)
    size = given.pop("size", None)
    said = [f"{name} {value:g}" for name, value in given.items()]
    return ", ".join(said + ([f"size {size[0]}x{size[1]}"] if size else []))


def _bytes(count: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
