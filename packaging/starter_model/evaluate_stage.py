"""The `evaluate` and `export` stages: judge and measure the model as it will ship, write it with its card."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from sfumato.errors import InputError
from sfumato.models.judge import Judge, save_judge
from starter_model.artwork import Sprites
from starter_model.card import card
from starter_model.config import Settings
from starter_model.diffusion import Painter
from starter_model.diffusion_stage import diffusion_run, encoded_place, frozen_vae
from starter_model.encoded import Encoded
from starter_model.export import assemble, hashes
from starter_model.judge import JudgeTask
from starter_model.measures import (
    Bench,
    measure_inversion,
    measure_prompts,
    measure_sizes,
    measure_speed,
    measure_vae,
)
from starter_model.render import render
from starter_model.sampling import Parts, to_pictures
from starter_model.sheets import write_sheet
from starter_model.sources import chosen
from starter_model.spoiled import Examples, held_out_scenes, spoiled_pictures
from starter_model.state import write_whole
from starter_model.supervision import train
from starter_model.swaps import measure_swaps
from starter_model.training import Run
from starter_model.vae import round_trip

SWAPS = (
    ("a red apple on the grass", "a green apple on the grass"),
    ("a cat on the grass", "a cat on the beach"),
    ("a cat in the snow", "a dog in the snow"),
    ("a yellow car at night", "a blue car at night"),
    ("a cat and a balloon on a white background", "a dog and a balloon on a white background"),
)


def export_model(folder: Path, settings: Settings, out: Path | None = None) -> Path:
    """The averaged weights as a pipeline folder with card and notice, by default STATE/export."""
    out = out or folder / "export"
    run = diffusion_run(folder, settings, "cpu", {})
    if not run.resumed:
        raise InputError("No denoiser has been trained yet.", advice="Run: python -m starter_model diffusion")
    run.use(run.weights.average)
    painter = run.task.model
    assert isinstance(painter, Painter)
    assemble(out, painter, frozen_vae(folder), settings.diffusion)
    vae = json.loads((frozen_vae(folder) / "training.json").read_text())
    history = {
        "vae": {"views": vae["views"], "minutes": vae["minutes"]},
        "diffusion": {"views": run.clock.views, "minutes": run.clock.seconds / 60},
    }
    report = folder / "evaluate" / "report.json"
    figures = json.loads(report.read_text()) if report.exists() else {}
    sheets = sorted((folder / "evaluate").glob("*.png"))
    for sheet in sheets:
        write_whole(out / "samples" / sheet.name, sheet.read_bytes())
    note = {"views": run.clock.views, **history}
    write_whole(out / "training.json", (json.dumps(note, indent=1) + "\n").encode())
    text = card(figures, history, hashes(out), [sheet.name for sheet in sheets])
    write_whole(out / "MODEL_CARD.md", text.encode())
    return out


def examples(folder: Path, settings: Settings, parts: Parts) -> Examples:
    """The judge's pictures: fresh renders, decoded latents of the training world, and held-out ones."""
    words, sprites = tuple(chosen(settings)), Sprites.load(folder / "data")
    side = min(settings.diffusion.sizes)
    encoded = Encoded.load(encoded_place(folder, frozen_vae(folder)), side, settings.vae.latent_channels)
    rows = min(len(encoded.scenes), settings.judge.round_trips)
    decoded = to_pictures(parts, torch.from_numpy(encoded.latents[:rows].astype(np.float32)))
    count = settings.judge.checked
    scenes = held_out_scenes(words, count, 0.25, 45)
    pixels = np.stack([render(scene, sprites).pixels for scene in scenes])
    held = {"renders": (pixels, scenes), "round_trips": (round_trip(parts.vae, pixels), scenes)}
    spoiled = spoiled_pictures(sprites, words, count)
    return Examples(sprites, words, (decoded, encoded.scenes[:rows]), held, spoiled)


def train_judge(
    folder: Path, settings: Settings, parts: Parts, seconds: float
) -> tuple[Judge, dict[str, float]]:
    """The judge with its averaged weights, and how well it judges."""
    torch.manual_seed(settings.seed)
    (folder / "evaluate").mkdir(exist_ok=True)
    task = JudgeTask(settings.judge, examples(folder, settings, parts), settings.workers.count)
    run = Run(task, folder / "evaluate", settings.workers, seed=settings.seed)
    train(run, seconds)
    found = run.check()
    run.use(run.weights.average)
    save_judge(task.model, folder / "evaluate" / "judge")
    return task.model, {f"judge_{name}": value for name, value in found.items()}


def measure(bench: Bench, folder: Path, *, photographs: bool, sides: tuple[int, ...]) -> dict[str, float]:
    """Every figure of the card; the sheets go to STATE/evaluate."""
    place = folder / "evaluate"
    report = measure_vae(bench, photographs=photographs)
    figures, pictures, prompts = measure_prompts(bench)
    write_sheet(place / "grid.png", pictures, prompts)
    inversion, strip = measure_inversion(bench)
    write_sheet(place / "inversion.png", strip, columns=len(strip) // 3)
    swapped = [word for pair in zip(*SWAPS, strict=True) for word in pair]
    write_sheet(
        place / "word_swap.png", bench.paint(swapped, [*range(len(SWAPS))] * 2), swapped, columns=len(SWAPS)
    )
    edits, strip = measure_swaps(bench, folder / "export", place / "store")
    write_sheet(place / "edits.png", strip, columns=len(strip) // 3)
    return report | figures | inversion | edits | measure_sizes(bench, sides) | measure_speed(bench)


def evaluate(folder: Path, settings: Settings, seconds: float) -> dict[str, float]:
    """Measure STATE/export (made anew) into STATE/evaluate: report.json and the sheets."""
    model, place = export_model(folder, settings), folder / "evaluate"
    parts = Parts.load(model)
    judge, report = train_judge(folder, settings, parts, seconds)
    sprites, words = Sprites.load(folder / "data"), tuple(chosen(settings))
    bench = Bench(parts, judge.eval(), sprites, words, settings.evaluation)
    sides = settings.diffusion.sizes[1:]
    report |= measure(bench, folder, photographs=bool(settings.vae.photographs), sides=sides)
    report["megabytes"] = sum(file.stat().st_size for file in model.rglob("*.safetensors")) / 1e6
    report = {name: round(float(value), 4) for name, value in report.items()}
    write_whole(place / "report.json", (json.dumps(report, indent=1) + "\n").encode())
    export_model(folder, settings)
    print(json.dumps(report))
    return report
