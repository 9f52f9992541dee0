"""The `instruct`, `control` and `turbo` stages: each begins with the finished starter and shares its VAE."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from torch import nn

from sfumato.errors import InputError
from sfumato.models.wishes import FILE
from starter_model import control, orders
from starter_model.base import Base, committed_base, hold_to, read_base
from starter_model.captions import prompt
from starter_model.config import Settings
from starter_model.control import Controlled, ControlTask, EdgeDrawer, read_edges
from starter_model.diffusion import Painter, attend_plainly
from starter_model.diffusion_stage import encode_world, encoded_place, shipped
from starter_model.encoded import prepare_encoded, recipe_name
from starter_model.export import INDEX, NOTICE
from starter_model.instruct import EncodedOrders, InstructTask, OrderEncoder
from starter_model.sources import chosen
from starter_model.spoiled import held_out_scenes
from starter_model.state import write_json, write_whole
from starter_model.supervision import train
from starter_model.taught import Taught
from starter_model.training import Run, Task, warm_start
from starter_model.turbo import TurboTask
from starter_model.vae import WEIGHTS, weights_folder
from starter_model.world import Scene, draw_shown_scene

NAMES = ("instruct", "control", "turbo")
LARGEST_FAMILY = 150_000_000
"""Bytes of the starter and all its siblings."""


def instruct_task(state: Path, settings: Settings, base: Base, share: int) -> Task:
    """Encodes the orders where they are missing."""
    own, channels, side = settings.instruct, settings.vae.latent_channels, min(settings.diffusion.sizes)
    words, tables = tuple(chosen(settings)), []
    for name, kept, count in (("orders", False, own.pictures), ("orders_held_out", True, own.probe)):
        seed = settings.seed + kept
        place = encoded_place(state, base.vae, recipe_name(name, orders.recipe(words, seed, count)))
        encoder = OrderEncoder(state / "data", base.vae, words, kept)
        workers = settings.workers.count
        prepare_encoded(place, encoder, {side: count}, seed=seed, workers=workers, stage="instruct")
        tables.append(EncodedOrders.load(place, side, channels))
    return InstructTask(own, base.painter, base.tokenizer, base.prediction, *tables, share)


def control_task(state: Path, settings: Settings, base: Base, share: int) -> Task:
    """Draws the edges of the encoded world where they are missing."""
    side = min(settings.diffusion.sizes)
    encoded = encode_world(state, settings, base.vae)[side]
    count = min(settings.control.pictures, len(encoded.scenes))
    said = control.recipe(tuple(chosen(settings)), settings.seed, count, settings.diffusion.pairs)
    place = encoded_place(state, base.vae, recipe_name("edges", said))
    drawer = EdgeDrawer(state / "data", encoded_place(state, base.vae))
    workers = settings.workers.count
    prepare_encoded(place, drawer, {side: count}, seed=settings.seed, workers=workers, stage="control")
    drawn = read_edges(place, side)
    return ControlTask(settings.control, base.painter, base.tokenizer, base.prediction, encoded, drawn, share)


def turbo_task(state: Path, settings: Settings, base: Base, share: int) -> Task:
    """Learns from its teacher alone, which first paints what the progress is measured by."""
    words, pairs = tuple(chosen(settings)), settings.diffusion.pairs

    def draw(rng: np.random.Generator) -> Scene:
        return draw_shown_scene(rng, words, pairs)

    task = TurboTask(settings.turbo, base.painter, base.tokenizer, base.prediction, draw, share)
    scenes = held_out_scenes(words, settings.turbo.probe, 0.25, 44)
    said = tuple(prompt(scene) for scene in scenes)
    task.probe = Taught.prepare(task, said, state / "turbo", base.fingerprint).distances
    return task


TASKS: dict[str, Callable[[Path, Settings, Base, int], Task]] = {
    "instruct": instruct_task,
    "control": control_task,
    "turbo": turbo_task,
}


def sibling_run(name: str, state: Path, settings: Settings, device: str) -> tuple[Base, Run]:
    """A sibling's training as it stands."""
    torch.manual_seed(settings.seed)
    base = read_base(state, settings)
    (state / name).mkdir(exist_ok=True)
    hold_to(base, state / name)
    share = settings.workers.count if device == "cpu" else 1
    attend_plainly(base.painter, device)  # before the task makes copies of it, a teacher for one
    task = TASKS[name](state, settings, base, share)
    attend_plainly(task.model, device)
    return base, Run(task, state / name, settings.workers, seed=settings.seed, device=device)


def committed_folder(name: str) -> Path:
    """Where the repository has a sibling: shipped, or not measured yet."""
    ships = shipped().with_name(f"starter_{name}")
    return ships if ships.is_dir() else weights_folder().with_name(name)


def committed(name: str) -> dict[str, Path]:
    """A sibling's weights in the repository, by the prefix of their parameters' names."""
    folder = committed_folder(name)
    if name == "control":
        return {"control.": folder / WEIGHTS}
    return {
        "unet.": folder / "unet" / WEIGHTS,
        "text.": folder / "text_encoder" / "model.safetensors",
    }


def train_sibling(
    name: str, state: Path, settings: Settings, seconds: float, device: str, *, anew: bool = False
) -> None:
    """Train a sibling; a lost state is made good by the committed weights, unless begun `anew`."""
    base, run = sibling_run(name, state, settings, device)
    note = committed_folder(name) / "training.json"
    same = not anew and committed_base(note) == base.fingerprint
    if same and (start := warm_start(run, committed(name), note)):
        print(f"{name}: no state in {state}; goes on from the committed weights at {start:,} views")
    clock = train(run, seconds)
    if clock.views >= run.task.views:
        run.check()
    print(f"{name}: {clock.views:,} views in {clock.seconds / 60:.1f} min of work, saved in {run.file}")


def export_sibling(name: str, state: Path, settings: Settings, out: Path | None = None) -> Path:
    """The averaged weights as an ordinary diffusers folder, by default STATE/NAME/export."""
    out = out or state / name / "export"
    base, run = sibling_run(name, state, settings, "cpu")
    if not run.resumed:
        raise InputError(f"No {name} sibling has been trained yet.", advice=f"Run its stage: {name}.")
    run.use(run.weights.average)
    if name == "control":
        model = run.task.model
        assert isinstance(model, Controlled)
        copy.deepcopy(model.control).half().save_pretrained(out)
    else:
        assemble_sibling(name, out, run.task.model, base)
        write_json(out / FILE, wishes(name, settings))
    write_whole(out / "NOTICE", NOTICE.encode())
    clock = run.clock
    note = {
        "views": clock.views,
        "minutes": round(clock.seconds / 60, 1),
        "base": base.fingerprint,
    }
    write_json(out / "training.json", note)
    hold_to_size(state, base.folder, name, out)
    return out


def wishes(name: str, settings: Settings) -> dict[str, Any]:
    """What the program should begin edits with; measuring adds an instructed sibling's guidances."""
    if name == "turbo":
        # Its steps were learned one after the other, without the fresh noise that few-step models begin with.
        # The usual inversions are of many small steps; of those that are not, this is the best one measured.
        inverted = {name: {"inverter": "edit_friendly"} for name in ("p2p", "reprompt")}
        return {"steps": settings.turbo.steps, "guidance": 1.0, "solver": "ddim", "editors": inverted}
    return {"steps": settings.evaluation.steps, "solver": "ddim"}


def bytes_in(folder: Path) -> int:
    """Of all its files; 0 where there is no such folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def hold_to_size(state: Path, starter: Path, name: str, out: Path) -> None:
    """InputError where the starter and its siblings, newest of each, would be larger than 150 MB together."""
    places = {"starter": starter, name: out}
    for other in NAMES:
        mine, theirs = state / other / "export", shipped().with_name(f"starter_{other}")
        places.setdefault(other, mine if mine.is_dir() else theirs)
    sizes = {each: bytes_in(place) for each, place in places.items()}
    if (total := sum(sizes.values())) > LARGEST_FAMILY:
        told = ", ".join(f"{each} {size / 1e6:.0f}" for each, size in sizes.items() if size)
        raise InputError(
            f"The starter and its siblings would take {total / 1e6:.0f} MB ({told}), more than "
            f"{LARGEST_FAMILY / 1e6:.0f} MB.",
            kept=f"{out} is written, but should not ship.",
            advice="Give the siblings fewer channels, or leave one out.",
        )


def forget_place(config: Path) -> None:
    """Take out of a network's configuration where the one it began as lay on this machine."""
    told = json.loads(config.read_text())
    told.pop("_name_or_path", None)
    write_whole(config, (json.dumps(told, indent=2, sort_keys=True) + "\n").encode())


def assemble_sibling(name: str, out: Path, model: nn.Module, base: Base) -> None:
    """The pipeline folder of a sibling that is a whole model."""
    assert isinstance(model, Painter)
    out.mkdir(parents=True, exist_ok=True)
    for part in ("vae", "tokenizer", "scheduler"):
        shutil.copytree(base.folder / part, out / part, dirs_exist_ok=True)
    copy.deepcopy(model.unet).half().save_pretrained(out / "unet")
    forget_place(out / "unet" / "config.json")
    copy.deepcopy(model.text).half().save_pretrained(out / "text_encoder")
    index: dict[str, Any] = dict(INDEX)
    if name == "instruct":
        index["_class_name"] = "StableDiffusionInstructPix2PixPipeline"
    else:
        # Euler's deterministic steps are DDIM's in other coordinates, and "trailing" begins them at the top.
        index["scheduler"] = ["diffusers", "EulerDiscreteScheduler"]
        shutil.rmtree(out / "scheduler")
        scheduler = json.loads((base.folder / "scheduler" / "scheduler_config.json").read_text())
        trailing = EulerDiscreteScheduler.from_config(scheduler, timestep_spacing="trailing")
        trailing.save_pretrained(out / "scheduler")
    write_whole(out / "model_index.json", (json.dumps(index, indent=2) + "\n").encode())
