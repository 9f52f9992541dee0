"""`sfumato --self-test`: does this installation edit a picture and open its window?"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from sfumato import compose
from sfumato.cli.answers import run
from sfumato.cli.opening import window_main
from sfumato.document.compositor import flatten
from sfumato.errors import SfumatoError
from sfumato.events import Outcome
from sfumato.files.images import open_image
from sfumato.method import Job, Recipe
from sfumato.workshop import Workshop

_STEPS = 10


def self_test() -> None:
    """Edit a bundled sample twice with the bundled model and open the window offscreen.

    Works in a folder of its own. Raises `SfumatoError` at the first thing that is not as it should be.
    """
    with _home_of_its_own():
        workshop = compose.workshop()
        for broken in workshop.registry.broken:
            raise SfumatoError(f"The plug-in '{broken.plugin}' does not load: {broken.error}")
        _passed(f"plug-ins: {len(workshop.registry.infos)} methods, {len(workshop.registry.models)} model(s)")
        job = _sample(workshop)
        first, second = run(job, workshop), run(job, workshop)
        _expect(first.rows["edit"] > 0 and first.rows["inversion"] > 0, "the network was never asked")
        _expect(_differs(job, first), "the edit changed nothing")
        _passed(f"edit: {first.box[2]} x {first.box[3]} pixels in {first.seconds:.1f} s")
        _expect(second.rows["inversion"] == 0, "the second edit inverted the picture again")
        same = (first.patches[0] == second.patches[0]).all()
        _expect(bool(same), "the same request gave another picture")
        _passed("second edit: inversion reused, the same pixels")
        _open_window()
        _passed("window: opened offscreen and closed")
    typer.echo("Everything works.")


@contextmanager
def _home_of_its_own() -> Iterator[None]:
    before = os.environ.get("SFUMATO_HOME")
    with tempfile.TemporaryDirectory(prefix="sfumato-") as home:
        os.environ["SFUMATO_HOME"] = home
        try:
            yield
        finally:
            del os.environ["SFUMATO_HOME"]
            if before is not None:
                os.environ["SFUMATO_HOME"] = before


def _sample(workshop: Workshop) -> Job:
    """The first of the samples that lie beside the built-in model."""
    checkpoint = workshop.checkpoint(Recipe().model)
    folder = checkpoint.folder.parent / "samples"
    try:
        told: dict[str, Any] = json.loads((folder / "index.json").read_text(encoding="utf-8"))[0]
        picture, source, target = folder / Path(told["file"]).name, told["source"], told["target"]
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise SfumatoError(f"The bundled samples are missing or damaged ({folder}).") from error
    document = open_image(picture)
    recipe = Recipe(source=source, target=target, steps=_STEPS)
    return Job(recipe=recipe, image=flatten(document), profile=document.profile)


def _differs(job: Job, outcome: Outcome) -> bool:
    assert job.image is not None
    left, top, right, bottom = outcome.box
    return bool((job.image[top:bottom, left:right] != outcome.patches[0]).any())


def _open_window() -> None:
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    if code := window_main()(["--self-test"]):
        raise SfumatoError(f"The window ended with exit code {code}.")


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise SfumatoError(f"Self-test failed: {otherwise}.")


def _passed(what: str) -> None:
    typer.echo(f"ok  {what}")
