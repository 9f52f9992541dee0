"""Pictures of the world encoded once by the frozen VAE, with their scenes, so that captions stay fresh."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from numpy.typing import NDArray

from sfumato.errors import SfumatoError
from starter_model.artwork import Sprites
from starter_model.render import render
from starter_model.state import write_whole
from starter_model.vae import SCALE, encode, to_tensor
from starter_model.world import Scene, Thing, draw_training_scene, hide_some

CHUNK = 200  # pictures of one file: what an interruption may cost


@dataclass(frozen=True)
class Batch:
    """One file's worth of work: pictures of one size, drawn from a seed."""

    file: Path
    size: int
    count: int
    seed: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Encoder:
    """Renders and encodes one batch; picklable, so that worker processes can hold it."""

    data: Path
    vae: Path
    words: tuple[str, ...]
    pairs: float

    def __call__(self, batch: Batch) -> int:
        """Write (count, C, h, w) float16 scaled latents and their scenes; returns how many."""
        torch.set_num_threads(1)
        sprites = Sprites.load(self.data)
        vae = AutoencoderKL.from_pretrained(self.vae, torch_dtype=torch.float32)
        rng = np.random.default_rng(batch.seed)
        drawn = (draw_training_scene(rng, self.words, self.pairs) for _ in range(batch.count))
        scenes = [hide_some(scene, rng) for scene in drawn]
        parts = []
        for scene in scenes:
            picture = to_tensor(render(scene, sprites, batch.size).pixels[None])
            with torch.no_grad():
                parts.append((encode(vae, picture).mean * SCALE).half().numpy())
        write_whole(batch.file.with_suffix(".json"), json.dumps([asdict(scene) for scene in scenes]).encode())
        write_whole(batch.file, np.concatenate(parts).tobytes())
        return batch.count


def prepare_encoded(
    folder: Path,
    encoder: Encoder,
    counts: dict[int, int],
    *,
    seed: int,
    workers: int,
    say: Callable[[str], None],
) -> None:
    """Encode `counts` (size: pictures) into files of CHUNK; what is already there is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    batches = [
        Batch(folder / f"{size}_{start:06}.bin", size, min(CHUNK, count - start), (seed, size, start))
        for size, count in counts.items()
        for start in range(0, count, CHUNK)
    ]
    wanted = [batch for batch in batches if not batch.file.exists()]
    if not wanted:
        return
    done, total = 0, sum(batch.count for batch in wanted)
    try:
        with ProcessPoolExecutor(workers, mp_context=get_context("fork")) as pool:
            for count in pool.map(encoder, wanted):
                done += count
                say(f"diffusion: encoded {done:,} of {total:,} pictures")
    except BrokenProcessPool as error:
        raise SfumatoError(
            "A worker was killed while pictures were encoded.",
            kept=f"{done:,} of {total:,} pictures are kept.",
            advice="Run the same command again; it goes on from there.",
        ) from error


def read_scene(row: dict[str, object]) -> Scene:
    """A scene as `asdict` wrote it."""
    things = tuple(Thing(**thing) for thing in row["things"])  # pyright: ignore
    return Scene(**{**row, "things": things})  # pyright: ignore


@dataclass(frozen=True, eq=False)
class Encoded:
    """Latents (n, C, h, w) float16 of one picture size, and the scene of each."""

    latents: NDArray[np.float16]
    scenes: tuple[Scene, ...]

    @classmethod
    def load(cls, folder: Path, size: int, channels: int) -> Encoded:
        """Everything encoded at one size."""
        parts, scenes, side = [], [], size // 8
        for file in sorted(folder.glob(f"{size}_*.bin")):
            parts.append(np.frombuffer(file.read_bytes(), np.float16).reshape(-1, channels, side, side))
            scenes.extend(read_scene(row) for row in json.loads(file.with_suffix(".json").read_text()))
        return cls(np.concatenate(parts), tuple(scenes))
