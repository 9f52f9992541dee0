"""The figures of the model card, each a function of a pipeline's parts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from sfumato.models.judge import Judge
from starter_model.artwork import Sprites
from starter_model.captions import prompt
from starter_model.config import EvaluationSettings
from starter_model.judge import score
from starter_model.render import render
from starter_model.sampling import Parts, denoise, invert, paint_prompts, to_latents, to_pictures
from starter_model.spoiled import held_out_scenes
from starter_model.vae import decibels, edge_energy, round_trip, unseen_photographs
from starter_model.world import Scene, draw_scene

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Bench:
    """What every measure needs."""

    parts: Parts
    judge: Judge
    sprites: Sprites
    words: tuple[str, ...]
    settings: EvaluationSettings

    def scenes(self, count: int, pairs: float, seed: int) -> list[Scene]:
        """Held-out scenes."""
        return held_out_scenes(self.words, count, pairs, seed)

    def renders(self, scenes: list[Scene], side: int = 128) -> Pixels:
        """The true pictures of scenes."""
        return np.stack([render(scene, self.sprites, side).pixels for scene in scenes])

    def paint(self, prompts: Sequence[str], seeds: Sequence[int], side: int = 128) -> Pixels:
        """Pictures of prompts, with the settings' steps and guidance."""
        own = self.settings
        return paint_prompts(self.parts, prompts, seeds, steps=own.steps, guidance=own.guidance, side=side)


def measure_vae(bench: Bench, *, photographs: bool = True) -> dict[str, float]:
    """Round trips of held-out composites at 128 and 256 pixels, and of unseen photographs."""
    scenes = bench.scenes(bench.settings.composites, 0.25, 41)
    true, large = bench.renders(scenes), bench.renders(scenes[:12], 256)
    made = round_trip(bench.parts.vae, true)
    found = {
        "vae_held_out_db": decibels(made, true),
        "vae_edges": edge_energy(made) / edge_energy(true),
        "vae_256_db": decibels(round_trip(bench.parts.vae, large), large),
    }
    if photographs:
        pieces = unseen_photographs()
        found["vae_photographs_db"] = decibels(round_trip(bench.parts.vae, pieces), pieces)
    return found


def measure_prompts(bench: Bench) -> tuple[dict[str, float], Pixels, list[str]]:
    """Held-out prompts painted and judged, one object and two; also the pictures and their prompts."""
    settings, found = bench.settings, {}
    kept: list[Pixels] = []
    said: list[str] = []
    for name, count, pairs in (("one", settings.prompts, 0.0), ("two", settings.prompts // 2, 1.0)):
        scenes = bench.scenes(count, pairs, 42)
        prompts = [prompt(scene) for scene in scenes]
        made = bench.paint(prompts, range(count))
        result = score(bench.judge.read(made), scenes)
        sharp = edge_energy(made) / edge_energy(round_trip(bench.parts.vae, bench.renders(scenes)))
        found |= {
            f"{name}_prompts": float(count),
            f"{name}_objects": result.objects,
            f"{name}_colours": result.colours,
            f"{name}_background": result.background,
            f"{name}_edges": sharp,
        }
        if pairs:
            found["two_objects_any_order"] = result.any_order
        kept.append(made[:32])
        said.extend(prompts[:32])
    return found, np.concatenate(kept), said


def measure_words(bench: Bench) -> tuple[float, list[str]]:
    """Every object once, colour and background drawn: the share that is right, and those that are not."""
    rng = np.random.default_rng(48)
    scenes = []
    for word in bench.words:
        while (scene := draw_scene(rng, (word,), 0.0)).place != "centre" or scene.size != "normal":
            pass
        scenes.append(scene)
    made = bench.paint([prompt(scene) for scene in scenes], range(100, 100 + len(scenes)))
    wrong = [
        word
        for word, reading in zip(bench.words, bench.judge.read(made), strict=True)
        if reading.objects != (word, None)
    ]
    return 1 - len(wrong) / len(bench.words), wrong


def measure_sizes(bench: Bench, sides: tuple[int, ...] = (192, 256)) -> dict[str, float]:
    """Right objects of one-object pictures at sizes the model saw little of, judged at 128 pixels."""
    scenes = bench.scenes(max(1, bench.settings.prompts // 8), 0.0, 47)
    prompts, found = [prompt(scene) for scene in scenes], {}
    for side in sides:
        made = bench.paint(prompts, range(len(prompts)), side)
        small = [Image.fromarray(picture).resize((128, 128), Image.Resampling.BOX) for picture in made]
        readings = bench.judge.read(np.stack([np.asarray(picture) for picture in small]))
        found[f"objects_at_{side}"] = score(readings, scenes).objects
    return found


def measure_inversion(bench: Bench) -> tuple[dict[str, float], Pixels]:
    """DDIM inversion at guidance 1 and back, against the VAE's own round trip; also rows of a strip."""
    scenes = bench.scenes(bench.settings.inversions, 0.25, 43)
    prompts, true = [prompt(scene) for scene in scenes], bench.renders(scenes)
    latents = to_latents(bench.parts, true)
    noise = invert(bench.parts, latents, prompts, steps=bench.settings.steps)
    again = denoise(bench.parts, noise, prompts, steps=bench.settings.steps, guidance=1)
    own, back = to_pictures(bench.parts, latents), to_pictures(bench.parts, again)
    found = {
        "inversion_vae_db": decibels(own, true),
        "inversion_db": decibels(back, true),
        "inversion_noise_std": float(noise.std()),
        "inversion_pictures": float(len(scenes)),
    }
    return found, np.concatenate([true[:8], own[:8], back[:8]])


def measure_speed(bench: Bench) -> dict[str, float]:
    """Seconds of one guided 128-pixel picture in all its steps on two threads, the best of three."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        taken = []
        for seed in range(3):
            begun = time.perf_counter()
            bench.paint(["a red apple"], [seed])
            taken.append(time.perf_counter() - begun)
    finally:
        torch.set_num_threads(threads)
    return {"seconds_per_picture": min(taken)}
