"""The `data` stage, and where the other stages find what it made."""

from __future__ import annotations

from pathlib import Path

from starter_model import artwork
from starter_model.artwork import Sprites
from starter_model.concepts import Concept, concepts
from starter_model.config import Settings
from starter_model.crops import Source
from starter_model.photographs import SEEN, read_photograph


def chosen(settings: Settings) -> dict[str, Concept]:
    """The concepts this configuration uses."""
    return {
        word: c for word, c in concepts().items() if not settings.data.words or word in settings.data.words
    }


def prepare_data(folder: Path, settings: Settings) -> None:
    """Artwork to STATE/data: sprites in all their colours."""
    artwork.prepare(folder / "data", chosen(settings), settings.data.others)
    sprites = Sprites.load(folder / "data")
    print(
        f"data: {len(chosen(settings))} concepts, {len(sprites.rows)} sprites, {len(sprites.others)} others"
    )


def source(folder: Path, settings: Settings) -> Source:
    """Where the VAE's crops come from."""
    seen = tuple(read_photograph(name) for name in SEEN) if settings.vae.photographs else ()
    return Source(Sprites.load(folder / "data"), seen, tuple(chosen(settings)), settings.vae)
