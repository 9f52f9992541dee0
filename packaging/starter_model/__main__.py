"""`python -m starter_model STAGE`: one command per stage, each resumable."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Annotated

import platformdirs
import torch
import typer
from safetensors import SafetensorError

from sfumato.errors import InputError, SfumatoError
from starter_model import (
    diffusion_stage,
    evaluate_stage,
    judge_stage,
    siblings_card,
    siblings_stage,
    sources,
    vae_stage,
)
from starter_model.artwork import Sprites
from starter_model.cases import write_world_cases
from starter_model.config import Settings, read_settings
from starter_model.state import trouble
from starter_model.supervision import be_idle

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
State = Annotated[Path | None, typer.Option(help="Where everything is kept; by default in the user's cache.")]
Config = Annotated[Path | None, typer.Option(help="Settings other than starter.toml.")]
For = Annotated[str, typer.Option("--for", help="Stop by itself after so long: 90s, 160m, 8h.")]
Device = Annotated[str, typer.Option(help="cpu or cuda; by default cuda where there is one.")]
Anew = Annotated[bool, typer.Option("--anew", help="Where there is no state, begin from nothing.")]


def seconds(text: str) -> float:
    """A duration such as 160m in seconds; empty means without end."""
    if not text:
        return math.inf
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text)
    if match is None:
        raise InputError(f"--for {text} is no duration.", advice="Write 90s, 160m or 8h.")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]


def place(state: Path | None) -> Path:
    """The state folder, made if need be."""
    folder = state or Path(platformdirs.user_cache_dir("sfumato-training"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def choose(device: str) -> str:
    """The device asked for, or the best there is."""
    return device or ("cuda" if torch.cuda.is_available() else "cpu")


def begin(state: Path | None, config: Path | None) -> tuple[Path, Settings]:
    """What every long stage needs: idle priority, folder and settings."""
    torch.set_num_threads(1)
    be_idle()
    return place(state), read_settings(config)


def begin_training(state: Path | None, config: Path | None) -> tuple[Path, Settings]:
    """The same, and the process group on record: what measures beside a training leaves that alone."""
    folder, settings = begin(state, config)
    (folder / "train.pgid").write_text(f"{os.getpgrp()}\n")
    return folder, settings


@app.command()
def data(state: State = None, config: Config = None) -> None:
    """Fetch the artwork and prepare the sprites."""
    sources.prepare_data(place(state), read_settings(config))


@app.command()
def vae(
    state: State = None, config: Config = None, lasting: For = "", device: Device = "", anew: Anew = False
) -> None:
    """Train the autoencoder; freeze it with `freeze` when its budget is spent."""
    folder, settings = begin_training(state, config)
    vae_stage.train_vae(folder, settings, seconds(lasting), choose(device), anew=anew)


@app.command()
def freeze(state: State = None, config: Config = None, out: Path | None = None) -> None:
    """Fold the whitening into the averaged autoencoder and write it as a diffusers folder."""
    vae_stage.freeze_vae(place(state), read_settings(config), out)


@app.command()
def diffusion(
    state: State = None, config: Config = None, lasting: For = "", device: Device = "", anew: Anew = False
) -> None:
    """Train denoiser and text encoder on the frozen autoencoder's latents."""
    folder, settings = begin_training(state, config)
    diffusion_stage.train_diffusion(folder, settings, seconds(lasting), choose(device), anew=anew)


@app.command()
def instruct(
    state: State = None, config: Config = None, lasting: For = "", device: Device = "", anew: Anew = False
) -> None:
    """Train the sibling that follows instructions; it begins with the finished starter."""
    folder, settings = begin_training(state, config)
    siblings_stage.train_sibling("instruct", folder, settings, seconds(lasting), choose(device), anew=anew)


@app.command()
def control(
    state: State = None, config: Config = None, lasting: For = "", device: Device = "", anew: Anew = False
) -> None:
    """Train the ControlNet that draws along edges, beside the finished starter."""
    folder, settings = begin_training(state, config)
    siblings_stage.train_sibling("control", folder, settings, seconds(lasting), choose(device), anew=anew)


@app.command()
def turbo(
    state: State = None, config: Config = None, lasting: For = "", device: Device = "", anew: Anew = False
) -> None:
    """Distil the sibling that needs four steps from the finished starter."""
    folder, settings = begin_training(state, config)
    siblings_stage.train_sibling("turbo", folder, settings, seconds(lasting), choose(device), anew=anew)


@app.command()
def judge(state: State = None, config: Config = None, lasting: For = "") -> None:
    """Train what reads pictures of the world; it needs the frozen autoencoder alone."""
    folder, settings = begin_training(state, config)
    judge_stage.train_judge(folder, settings, seconds(lasting))


@app.command()
def evaluate(state: State = None, config: Config = None) -> None:
    """Measure the model as it would ship, with the judge."""
    folder, settings = begin(state, config)
    evaluate_stage.evaluate(folder, settings)


@app.command()
def export(state: State = None, config: Config = None, out: Path | None = None) -> None:
    """Write the model as an ordinary diffusers folder with its card."""
    print(f"export: {evaluate_stage.export_model(place(state), read_settings(config), out)}")


@app.command()
def measure(
    sibling: Annotated[str, typer.Argument(help="instruct, control or turbo.")],
    state: State = None,
    config: Config = None,
    out: Path | None = None,
) -> None:
    """Export a sibling, measure it with the judge that `evaluate` trained, and write its card."""
    if sibling not in siblings_stage.NAMES:
        raise InputError(f"There is no sibling '{sibling}'.", advice="Siblings: instruct, control, turbo.")
    folder, settings = begin(state, config)
    print(f"measure: {siblings_card.measure_sibling(sibling, folder, settings, out)}")


@app.command()
def cases(
    out: Path,
    state: State = None,
    config: Config = None,
    each: Annotated[int, typer.Option(min=1, help="Cases of every edit type.")] = 30,
    seed: int = 51,
    side: Annotated[int, typer.Option(min=64, help="Pixels of a picture's side.")] = 128,
) -> None:
    """Render editing cases with their true results for `sfumato bench edits`."""
    words, sprites = tuple(sources.chosen(read_settings(config))), Sprites.load(place(state) / "data")
    count = write_world_cases(out, sprites, words, each=each, seed=seed, side=side)
    print(f"cases: {count} in {out}")


def main() -> None:
    """Run a stage; failures a person can act on are one sentence, without a traceback."""
    try:
        app()
    except SfumatoError as error:
        raise SystemExit(str(error)) from None
    except (OSError, SafetensorError) as error:  # libraries write whole folders, and say it in their own way
        raise SystemExit(str(trouble(error))) from None


if __name__ == "__main__":
    main()
