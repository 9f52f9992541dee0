"""The `judge` stage: train what reads pictures of the world, and prove that it can, before it judges any."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from numpy.typing import NDArray

from sfumato.errors import InputError
from sfumato.models.judge import Judge, load_judge, save_judge
from starter_model.artwork import Sprites
from starter_model.config import Settings
from starter_model.diffusion_stage import frozen_vae, shipped
from starter_model.encoded import processes
from starter_model.judge import JudgeTask, reckon
from starter_model.render import render
from starter_model.sources import chosen
from starter_model.spoiled import (
    EVERY,
    MET,
    PAIRS,
    SEEN,
    Example,
    Examples,
    Spoiler,
    held_out_scenes,
    unseen_spoiled,
)
from starter_model.state import write_json
from starter_model.supervision import train
from starter_model.training import Run
from starter_model.vae import round_trip
from starter_model.world import draw_training_scene, hide_some

CHUNK = 50  # pictures a process makes at a time
FIGURES = "figures.json"


@dataclass(frozen=True)
class RoundTripper:
    """Makes pictures as the VAE gives them back; picklable, so that worker processes can hold it."""

    data: Path
    vae: Path
    words: tuple[str, ...]

    def load(self) -> tuple[Sprites, AutoencoderKL]:
        """Drawings and autoencoder, in a process of one thread."""
        torch.set_num_threads(1)
        vae = AutoencoderKL.from_pretrained(self.vae, torch_dtype=torch.float32)
        return Sprites.load(self.data), vae.to(memory_format=torch.channels_last)

    def examples(self, seed: tuple[int, int]) -> list[Example]:
        """CHUNK examples to learn from."""
        sprites, vae = self.load()
        rng = np.random.default_rng(seed)
        found = list(self._drawn(sprites, rng))
        with torch.no_grad():
            back = round_trip(vae, np.stack([each.pixels for each in found]))
        return [replace(each, pixels=pixels) for each, pixels in zip(found, back, strict=True)]

    def _drawn(self, sprites: Sprites, rng: np.random.Generator) -> Iterator[Example]:
        spoiler = Spoiler.of(sprites, self.words, checking=False)
        for number in range(CHUNK):
            scene = draw_training_scene(rng, self.words, PAIRS)
            if number % EVERY == 0:
                yield spoiler.example(scene, rng)
            else:
                scene = hide_some(scene, rng)
                yield Example(render(scene, sprites).pixels, scene)

    def back(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Pictures (n, H, W, 3) as they come back."""
        with torch.no_grad():
            return round_trip(self.load()[1], pixels)


def examples(tripper: RoundTripper, settings: Settings) -> Examples:
    """What the judge is checked on, and what spoils pictures for it to learn from; none is prepared yet."""
    words, sprites, own = tripper.words, Sprites.load(tripper.data), settings.judge
    scenes = held_out_scenes(words, own.checked, 0.25, 45)
    spoiled = unseen_spoiled(Spoiler.of(sprites, words, checking=True), own.checked)
    plain = {"renders": np.stack([render(scene, sprites).pixels for scene in scenes]), **spoiled}
    with processes(settings.workers.count, "The judge is as it was saved.") as pool:
        back = dict(zip(plain, pool.map(tripper.back, plain.values()), strict=True))
    held_out = {"renders": (plain["renders"], scenes), "round_trips": (back["renders"], scenes)}
    refused = spoiled | {f"{way}_round_trips": back[way] for way in spoiled}
    return Examples(Spoiler.of(sprites, words, checking=False), [], held_out, refused)


def prepare(found: Examples, tripper: RoundTripper, settings: Settings) -> None:
    """Give the judge pictures to learn from as the VAE gives them back."""
    seeds = [(settings.seed, 70_000 + n) for n in range(-(-settings.judge.round_trips // CHUNK))]
    with processes(settings.workers.count, "The judge is as it was saved.") as pool:
        for some in pool.map(tripper.examples, seeds):
            found.prepared.extend(some)
            print(f"judge: prepared {len(found.prepared):,} of {len(seeds) * CHUNK:,} pictures", flush=True)


def reader_folder(folder: Path) -> Path:
    """Where this state's judge is, once it is finished."""
    return folder / "judge" / "reader"


def shipped_judge() -> Path:
    """The finished judge in the repository."""
    return shipped().with_name("judge")


def train_judge(folder: Path, settings: Settings, seconds: float) -> None:
    """Train the judge in STATE/judge; when its views are spent, write it into STATE/judge/reader."""
    if (reader_folder(folder) / FIGURES).exists():
        return
    torch.manual_seed(settings.seed)
    (folder / "judge").mkdir(exist_ok=True)
    tripper = RoundTripper(folder / "data", frozen_vae(folder), tuple(chosen(settings)))
    task = JudgeTask(settings.judge, examples(tripper, settings), settings.workers.count)
    run = Run(task, folder / "judge", settings.workers, seed=settings.seed)
    if run.clock.views < task.views:
        prepare(task.examples, tripper, settings)
    clock = train(run, seconds)
    print(f"judge: {clock.views:,} of {task.views:,} views in {clock.seconds / 60:.1f} min of work")
    if clock.views < task.views:
        return
    run.use(run.weights.average)
    reckon(task.model, SEEN, MET)
    with torch.no_grad():
        found = task.check()
    print(json.dumps(found))
    save_judge(task.model, reader_folder(folder))
    write_json(reader_folder(folder) / FIGURES, found)


def trained_judge(folder: Path) -> tuple[Judge, dict[str, float]]:
    """The finished judge and how well it judges; the shipped one where this state has none, not even begun.

    Raises `InputError` where one is begun and not finished: it may be of another world.
    """
    place = reader_folder(folder) if (folder / "judge").exists() else shipped_judge()
    if not (place / FIGURES).exists():
        raise InputError(
            "The judge is not trained to its end, so nothing was measured with it.",
            kept="What it learnt so far is kept.",
            advice="Run: python -m starter_model judge.",
        )
    return load_judge(place), json.loads((place / FIGURES).read_text())
