"""Pictures of the world encoded once by the frozen VAE, with their scenes, so that captions stay fresh."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

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

Pixels = NDArray[np.uint8]

CHUNK = 200  # pictures of one file: what an interruption may cost
TOGETHER = 8  # what is encoded at a time


@dataclass(frozen=True)
class Batch:
    """One file's worth of work: pictures of one size, drawn from a seed."""

    file: Path
    size: int
    count: int
    seed: tuple[int, ...]


class Drawn(Protocol):
    """What an encoder encodes: a dataclass of plain data, from which its pictures can be rendered again."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


Sample = TypeVar("Sample", bound=Drawn)


@dataclass(frozen=True, eq=False)
class Encoder(Generic[Sample]):
    """Draws, renders and encodes one batch; picklable, so that worker processes can hold it."""

    data: Path
    vae: Path
    words: tuple[str, ...]

    def draw(self, rng: np.random.Generator, count: int) -> list[Sample]:
        """What the pictures are to show."""
        raise NotImplementedError

    def shown(self, sample: Sample, sprites: Sprites, side: int) -> tuple[Pixels, ...]:
        """Its pictures (side, side, 3), always as many."""
        raise NotImplementedError

    def __call__(self, batch: Batch) -> int:
        """Write (count, pictures, C, h, w) float16 scaled latents and what they show; returns the count."""
        torch.set_num_threads(1)
        sprites = Sprites.load(self.data)
        vae = AutoencoderKL.from_pretrained(self.vae, torch_dtype=torch.float32)
        vae = vae.to(memory_format=torch.channels_last)  # 25 ms a picture instead of 38
        samples = self.draw(np.random.default_rng(batch.seed), batch.count)
        parts = []
        for start in range(0, len(samples), TOGETHER):
            some = samples[start : start + TOGETHER]
            pictures = to_tensor(np.concatenate([self.shown(each, sprites, batch.size) for each in some]))
            with torch.no_grad():
                parts.append((encode(vae, pictures).mean * SCALE).half().contiguous().numpy())
        write_whole(batch.file.with_suffix(".json"), json.dumps([asdict(each) for each in samples]).encode())
        write_whole(batch.file, np.concatenate(parts).tobytes())
        return batch.count


@dataclass(frozen=True, eq=False)
class SceneEncoder(Encoder[Scene]):
    """Scenes of training, `pairs` of them of two things."""

    pairs: float

    def draw(self, rng: np.random.Generator, count: int) -> list[Scene]:
        drawn = (draw_training_scene(rng, self.words, self.pairs) for _ in range(count))
        return [hide_some(scene, rng) for scene in drawn]

    def shown(self, sample: Scene, sprites: Sprites, side: int) -> tuple[Pixels, ...]:
        return (render(sample, sprites, side).pixels,)


def recipe_name(name: str, recipe: Mapping[str, object]) -> str:
    """A folder's name that is another one wherever the recipe of what is encoded in it is."""
    return f"{name}-{hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:8]}"


@contextmanager
def processes(count: int, kept: str) -> Iterator[ProcessPoolExecutor]:
    """Processes that make pictures. SfumatoError, with what is `kept`, where one is killed."""
    try:
        with ProcessPoolExecutor(count, mp_context=get_context("fork")) as pool:
            yield pool
    except BrokenProcessPool as error:
        raise SfumatoError(
            "A worker was killed while pictures were made.",
            kept=kept,
            advice="Run the same command again; it goes on from there.",
        ) from error


def prepare_encoded(
    folder: Path,
    encoder: Callable[[Batch], int],
    counts: dict[int, int],
    *,
    seed: int,
    workers: int,
    stage: str,
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
    with processes(workers, "What they had finished is kept.") as pool:
        for count in pool.map(encoder, wanted):
            done += count
            print(f"{stage}: prepared {done:,} of {total:,} pictures", flush=True)


def read_scene(row: dict[str, object]) -> Scene:
    """A scene as `asdict` wrote it."""
    things = tuple(Thing(**thing) for thing in row["things"])  # pyright: ignore
    return Scene(**{**row, "things": things})  # pyright: ignore


def read_encoded(
    folder: Path, size: int, shape: tuple[int, ...]
) -> tuple[NDArray[np.float16], list[dict[str, object]]]:
    """Latents (n, *shape) of everything encoded at one size, and what each shows as plain data."""
    parts, rows = [], []
    for file in sorted(folder.glob(f"{size}_*.bin")):
        parts.append(np.frombuffer(file.read_bytes(), np.float16).reshape(-1, *shape))
        rows.extend(json.loads(file.with_suffix(".json").read_text()))
    return np.concatenate(parts), rows


@dataclass(frozen=True, eq=False)
class Encoded:
    """Latents (n, C, h, w) float16 of one picture size, and the scene of each."""

    latents: NDArray[np.float16]
    scenes: tuple[Scene, ...]

    @classmethod
    def load(cls, folder: Path, size: int, channels: int) -> Encoded:
        """Everything encoded at one size."""
        latents, rows = read_encoded(folder, size, (channels, size // 8, size // 8))
        return cls(latents, tuple(read_scene(row) for row in rows))
