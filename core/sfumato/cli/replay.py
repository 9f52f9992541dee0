"""`sfumato recipe replay`: run a recipe again and say whether the same picture comes out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from sfumato import compose
from sfumato.cli import options as o
from sfumato.cli.answers import FAILURE, answering, run
from sfumato.cli.pictures import PROJECT, control_images, open_document, write_results
from sfumato.document.compositor import count_different, fingerprint, flatten
from sfumato.document.geometry import Rect
from sfumato.document.layers import Document, Layer
from sfumato.errors import InputError
from sfumato.events import Outcome
from sfumato.files.images import open_image, open_mask, read_recipe
from sfumato.files.recipe import SavedRecipe, load_recipe
from sfumato.method import Job, Mask, Pixels
from sfumato.provenance import box_of
from sfumato.workshop import Workshop

_PRECISIONS = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}
_LOSSY = (".jpg", ".jpeg", ".webp")


@dataclass(frozen=True, eq=False)
class _Replay:
    """A run to repeat, and what came out of it then."""

    title: str
    saved: SavedRecipe
    job: Job
    below: Document | None
    expected: Pixels | None
    """The finished picture; None if only the hashes in the provenance are known."""


def replay(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A project, an exported picture, or a recipe.")
    ],
    picture: Annotated[Path | None, typer.Option(help="The picture it was made from.")] = None,
    mask: o.MaskFile = None,
    control: o.Controls = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Keep the new result.")] = None,
    threads: o.Threads = None,
    device: o.Device = None,
) -> None:
    """Run a recipe again, as it was run; says "identical" or how many pixels differ."""
    with answering():
        replays = _of_project(file) if file.suffix.lower() == PROJECT else [_of_file(file, picture, mask)]
        replays = [_under_control(each, control) for each in replays]
        differ = [_run(each, {"threads": threads, "device": device}, output) for each in replays]
    raise typer.Exit(FAILURE if any(differ) else 0)


def _run(each: _Replay, choices: dict[str, Any], output: Path | None) -> bool:
    """Repeat one run and say how it compares; returns whether anything differs."""
    workshop = _as_then(each.saved, choices)
    outcome = run(each.job, workshop)
    for change in _changes(each.saved.provenance, outcome.provenance):
        typer.echo(change, err=True)
    if output is not None:
        write_results(each.below, each.job, outcome, output)
    verdict, differs = _compared(each, outcome)
    typer.echo(f"{each.title}: {verdict}")
    return differs


def _as_then(saved: SavedRecipe, choices: dict[str, Any]) -> Workshop:
    """A workshop with the threads and precision of the first run, unless chosen otherwise."""
    then = saved.provenance
    return compose.workshop(
        threads=choices["threads"] or then.get("threads"),
        precision=_PRECISIONS.get(then.get("precision", "")),
        device=choices["device"] or then.get("device"),
    )


def _compared(each: _Replay, outcome: Outcome) -> tuple[str, bool]:
    if each.expected is None:
        known = each.saved.provenance.get("patches")
        if known is None:
            return "ran; the recipe does not say what came out the first time", False
        same = known == outcome.provenance["patches"]
        return ("identical" if same else "differs"), not same
    results = [_finished(each, outcome.box, patch) for patch in outcome.patches]
    if results[0].shape != each.expected.shape:
        return "differs in size", True
    differ = min(count_different(result, each.expected) for result in results)
    return (f"{differ} of {results[0][..., 0].size} pixels differ" if differ else "identical"), bool(differ)


def _finished(each: _Replay, box: Rect, patch: Pixels) -> Pixels:
    """The picture with one candidate on it; which one the first run kept is not recorded in pictures."""
    if each.below is None:
        return patch
    layers = [*each.below.layers, Layer("again", patch, *box[:2])]
    return flatten(Document(each.below.width, each.below.height, layers))


def _changes(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What is not as it was the first time and may change the result."""
    names = ("picture", "mask", "weights", "networks", "device", "precision", "threads", "batch")
    changed = [name for name in names if name in then and then[name] != now.get(name)]
    told = [f"Note: the {name} is not the one of the first run." for name in changed]
    if ("smaller" in then) != ("smaller" in now):
        one, other = ("the first", "this") if "smaller" in then else ("this", "the first")
        told.append(f"Note: {one} run was short of memory and made less than asked for; {other} one was not.")
    return told


def _of_project(file: Path) -> list[_Replay]:
    """Every edit layer of a project, on what lies below it."""
    document = open_document(file)
    found = [_of_layer(document, index) for index, layer in enumerate(document.layers) if layer.edit]
    if not found:
        raise InputError(f"{file.name} has no edit layer to run again.")
    return found


def _of_layer(document: Document, index: int) -> _Replay:
    layer = document.layers[index]
    assert layer.edit is not None
    below = Document(document.width, document.height, document.layers[:index])
    made_of_words = layer.edit.below == ""
    job = Job(
        recipe=layer.edit.recipe,
        image=None if made_of_words else flatten(below),
        profile=document.profile,
        mask=layer.edit.mask,
        near=box_of(layer.edit.provenance),
    )
    patch = layer.edit.candidates[0] if layer.edit.candidates else layer.pixels
    alone = Layer(layer.name, patch, layer.left, layer.top)
    expected = (
        patch if made_of_words else flatten(Document(below.width, below.height, [*below.layers, alone]))
    )
    return _Replay(layer.name, SavedRecipe.of(layer.edit), job, None if made_of_words else below, expected)


def _of_file(file: Path, picture: Path | None, mask: Path | None) -> _Replay:
    """A recipe file, or the recipe in an exported picture; both need the picture they started from."""
    if file.suffix.lower() == ".json":
        saved, expected = load_recipe(file), None
    else:
        saved = read_recipe(file)
        if saved is None:
            raise InputError(f"{file.name} carries no recipe.")
        expected = None if file.suffix.lower() in _LOSSY else flatten(open_image(file))
    below = None if picture is None else open_document(picture)
    if below is None and saved.provenance.get("picture") is not None:
        raise InputError(f"{file.name} was made from another picture: name it with --picture.")
    image = None if below is None else flatten(below)
    if image is not None and saved.source_sha256 and fingerprint(image) != saved.source_sha256:
        raise InputError(f"{picture} is not the picture {file.name} was made from.")
    job = Job(
        recipe=saved.recipe,
        image=image,
        profile=None if below is None else below.profile,
        mask=_mask(saved, mask, below),
        near=box_of(saved.provenance),
    )
    return _Replay(file.name, saved, job, below, expected)


def _under_control(each: _Replay, given: list[str] | None) -> _Replay:
    """With the control images of the first run; they do not travel with a recipe."""
    wanted = each.saved.provenance.get("control_images")
    if not isinstance(wanted, dict) or not wanted:
        return each
    images = control_images(given)
    if not wanted.keys() <= images.keys():
        names = ", ".join(sorted(wanted))
        raise InputError(f"{each.title} was made with a control image ({names}): name it with --control.")
    if any(fingerprint(images[name]) != wanted[name] for name in wanted):
        raise InputError("This is not the control image of the first run.")
    return replace(each, job=replace(each.job, control_images={name: images[name] for name in wanted}))


def _mask(saved: SavedRecipe, given: Path | None, below: Document | None) -> Mask | None:
    """The mask of the first run: the one that travelled with the recipe, or the file that is named."""
    if saved.mask is None or below is None:
        return None
    mask = saved.mask.pixels() if given is None else open_mask(given, (below.width, below.height))
    if mask is None:
        raise InputError("The mask was too large to travel with the recipe: name it with --mask.")
    if fingerprint(mask) != saved.mask.sha256:
        raise InputError("This is not the mask of the first run.")
    return mask
