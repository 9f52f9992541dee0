"""`sfumato attention` and `sfumato trajectory`: what a run looked at, and which way the latents went."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from sfumato.cli import options as o
from sfumato.cli.answers import answering, run
from sfumato.cli.edits import prepared
from sfumato.cli.pictures import open_document, refuse_drawing
from sfumato.document.geometry import window
from sfumato.errors import InputError
from sfumato.events import Outcome
from sfumato.files.figures import Panel, enlarged, figure, heat_over, with_legend, write_figure
from sfumato.method import Job, Pixels
from sfumato.recording import Maps, StepRange, Track
from sfumato.workshop import Workshop

_SIDE = 320
"""Longer side of a panel, in pixels."""

Prompt = Annotated[str, typer.Option("--prompt", help="What the picture shows.")]
Figure = Annotated[Path, typer.Option("--output", "-o", help="Where to write the figure: a .png.")]


def attention(
    ctx: typer.Context,
    picture: o.Picture,
    output: Figure,
    prompt: Prompt,
    word: Annotated[list[str], typer.Option("--word", help="A word to show; give several for several.")],
    target: o.Target = None,
    steps_range: Annotated[
        StepRange, typer.Option("--steps-range", help="The noisiest third of the steps first.")
    ] = "all",
    resolution: Annotated[
        int | None, typer.Option(help="Cells on the longer side of the maps; nearest to 16 if left out.")
    ] = None,
    numbers: Annotated[bool, typer.Option("--json", help="Print the maps as JSON too.")] = False,
    inverter: o.Inverter = None,
    inverter_values: o.InverterValues = None,
    method: o.Method = None,
    values: o.Values = None,
    steps: o.StepCount = None,
    guidance: o.Guidance = None,
    seed: o.Seed = None,
    model: o.ModelName = None,
    device: o.Device = None,
    precision: o.Precision = None,
    threads: o.Threads = None,
) -> None:
    """Show where words look in a picture. A second look at the same inversion runs nothing.

    With --target the picture is edited as well, and the target's words can be shown.
    """
    with answering():
        refuse_drawing(output)
        job, outcome, _ = _watched(ctx.params, picture)
        recording, shown = outcome.recording, []
        for name in word:
            found = [maps for maps in (recording.source, recording.target) if maps] if recording else []
            if not found:
                raise InputError("No attention between words and picture was seen in this run.")
            passes = [maps for maps in found if name.lower() in map(str.lower, maps.words)] or found[:1]
            shown += [(maps.prompt, name, maps.of(name, steps_range, resolution)) for maps in passes]
        assert job.image is not None
        write_figure(_heat_figure(job.image[window(outcome.box)], shown), output)
        if numbers:
            told = [{"prompt": p, "word": name, "map": maps.tolist()} for p, name, maps in shown]
            typer.echo(json.dumps(told))
        else:
            typer.echo(_cost(outcome))
            typer.echo(f"Wrote {output}")


def trajectory(
    ctx: typer.Context,
    picture: o.Picture,
    output: Figure,
    prompt: Prompt,
    target: o.Target = None,
    count: Annotated[int, typer.Option(min=2, max=51, help="How many moments to show.")] = 9,
    decode: Annotated[
        bool, typer.Option("--decode", help="Decode each moment; else it is shown cell by cell.")
    ] = False,
    inverter: o.Inverter = None,
    inverter_values: o.InverterValues = None,
    method: o.Method = None,
    values: o.Values = None,
    steps: o.StepCount = None,
    guidance: o.Guidance = None,
    seed: o.Seed = None,
    model: o.ModelName = None,
    device: o.Device = None,
    precision: o.Precision = None,
    threads: o.Threads = None,
) -> None:
    """Show the latents of a picture on their way into noise; with --target the way back to the edit below."""
    with answering():
        refuse_drawing(output)
        _, outcome, workshop = _watched(ctx.params, picture)
        recording = outcome.recording
        tracks = [] if recording is None else [recording.source_track, recording.target_track]
        titles = (f"From the picture into noise: {prompt}", f"The edit at the same noise: {target}")
        rows = [
            (title, _moments(track, count, workshop if decode else None))
            for title, track in zip(titles, tracks, strict=True)
            if track is not None
        ]
        if not rows:
            raise InputError("This way to invert keeps no trajectory.", advice="Choose another inverter.")
        write_figure(figure(rows, side=128), output)
        typer.echo(_cost(outcome))
        typer.echo(f"Wrote {output}")


def _watched(given: dict[str, Any], picture: Path) -> tuple[Job, Outcome, Workshop]:
    """Invert, or edit if there is a target, with somebody looking on."""
    asked, document = o.recipe_of({**given, "source": given["prompt"]}), open_document(picture)
    task = "invert" if given["target"] is None else "edit"
    job, workshop = prepared(asked, document, given, task, record=True)
    return job, run(job, workshop), workshop


def _heat_figure(pixels: Pixels, shown: Sequence[tuple[str, str, Maps]]) -> Pixels:
    panels = []
    for prompt, word, maps in shown:
        over = heat_over(maps, enlarged(pixels, _SIDE))
        legend = with_legend(over, 100 * float(maps.min()), 100 * float(maps.max()), " %")
        panels.append(Panel(legend, word, prompt))
    side = max(panels[0].picture.shape)
    return figure([("Share of attention by word", panels)], side=side)


def _moments(track: Track, count: int, decoding: Workshop | None) -> list[Panel]:
    """The clean end first."""
    chosen = np.unique(np.linspace(0, len(track.levels) - 1, count).round().astype(int))[::-1]
    pictures = track.previews if decoding is None else _decoded(track, decoding)
    return [Panel(pictures[k], f"t = {track.levels[k]}") for k in chosen]


def _decoded(track: Track, workshop: Workshop) -> Pixels:
    import torch

    model = workshop.model
    assert model is not None
    with torch.no_grad():
        decoded = model.decode(torch.from_numpy(track.latents).to(model.device))
    pixels = (decoded.permute(0, 2, 3, 1) + 1) * 127.5
    return pixels.round().clamp(0, 255).byte().cpu().numpy()


def _cost(outcome: Outcome) -> str:
    rows = sum(outcome.rows.values())
    return f"{rows} network rows; {outcome.seconds:.1f} s."
