"""The artwork: Fluent Emoji from its npm package, checked by checksum, cut into square sprites."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sfumato.errors import InputError, SfumatoError
from starter_model.concepts import Concept
from starter_model.recolour import COLOURS, recolour
from starter_model.state import write_whole

PACKAGE = "@lobehub/fluent-emoji-3d@1.1.0"
ARCHIVE = "lobehub-fluent-emoji-3d-1.1.0.tgz"
SHA256 = "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58"
SIDE = 256  # pixels of a stored sprite


def fetch(folder: Path) -> Path:
    """The package's archive in `folder`, fetched by npm when missing; InputError if not the pinned one."""
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / ARCHIVE
    if not archive.exists():
        npm = shutil.which("npm")
        if npm is None:
            raise SfumatoError(
                "The artwork cannot be fetched because npm is not installed.",
                advice=f"Install npm, or put {ARCHIVE} into {folder} yourself.",
            )
        done = subprocess.run([npm, "pack", PACKAGE], cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode or not archive.exists():
            raise SfumatoError(
                f"npm could not fetch {PACKAGE}: {reason(done.stderr)}",
                advice=f"Check the connection, or put {ARCHIVE} into {folder} yourself.",
            )
    verify(archive)
    return archive


def reason(said: str) -> str:
    """Of all that npm says about a failure the line that tells most."""
    lines = [line.removeprefix("npm error").strip() for line in said.splitlines()]
    lines = [line for line in lines if line and "complete log" not in line]
    telling = [line for line in lines if "reason:" in line or "failed" in line]
    return (telling or lines or ["no reason given."])[0]


def verify(archive: Path) -> None:
    """InputError unless the archive is byte for byte the one the recipe was made with."""
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != SHA256:
        raise InputError(
            f"{archive.name} is not the artwork this recipe was made with (its SHA-256 begins {found[:12]}).",
            advice=f"Delete {archive} and run the data stage again.",
        )


def square(picture: Image.Image) -> NDArray[np.uint8]:
    """An RGBA picture cut to what is visible, padded to a square and resized to SIDE × SIDE."""
    alpha = np.asarray(picture)[..., 3]
    rows, columns = np.nonzero(alpha > 16)
    box = (int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
    width, height = box[2] - box[0], box[3] - box[1]
    side = max(width, height)
    padded = Image.new("RGBA", (side, side))
    padded.paste(picture.crop(box), ((side - width) // 2, (side - height) // 2))
    return np.asarray(padded.resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def read_sprites(archive: Path) -> dict[str, NDArray[np.uint8]]:
    """Every drawing of the archive but skin tones, by code points without the variation selector."""
    sprites: dict[str, NDArray[np.uint8]] = {}
    with tarfile.open(archive, "r:gz") as package:
        for member in package:
            name = Path(member.name)
            code = name.stem.replace("-fe0f", "")
            if name.suffix != ".webp" or "1f3f" in code.replace("1f3f0", "") or code in sprites:
                continue
            content = package.extractfile(member)
            assert content is not None  # a webp member is a regular file
            sprites[code] = square(Image.open(io.BytesIO(content.read())).convert("RGBA"))
    return sprites


def tabulate(
    concepts: dict[str, Concept], drawings: dict[str, NDArray[np.uint8]]
) -> tuple[list[str], list[NDArray[np.uint8]]]:
    """Names ("apple", "apple/green") and sprites of every concept as drawn and in all its colours."""
    names, sprites = [], []
    for concept in concepts.values():
        drawn = drawings[concept.code]
        names.append(concept.word)
        sprites.append(drawn)
        for colour in COLOURS if concept.natural else ():
            names.append(f"{concept.word}/{colour}")
            sprites.append(drawn if colour == concept.natural else recolour(drawn, colour))
    return names, sprites


def prepare(folder: Path, concepts: dict[str, Concept], others: int) -> None:
    """Write `sprites.npy`, `others.npy` (drawings that are no concept) and `sprites.json` into the folder."""
    drawings = read_sprites(fetch(folder))
    missing = sorted(c.word for c in concepts.values() if c.code not in drawings)
    if missing:
        raise InputError(f"The artwork has no drawing for: {', '.join(missing)}.")
    names, sprites = tabulate(concepts, drawings)
    used = {concept.code for concept in concepts.values()}
    spare = [code for code in sorted(drawings) if code not in used]
    step = max(1, len(spare) // max(others, 1))
    chosen = spare[::step][:others]
    for name, table in (("sprites", sprites), ("others", [drawings[code] for code in chosen])):
        buffer = io.BytesIO()
        np.save(buffer, np.stack(table))
        write_whole(folder / f"{name}.npy", buffer.getbuffer())
    listing = {"sprites": names, "others": chosen, "artwork": PACKAGE, "sha256": SHA256}
    write_whole(folder / "sprites.json", json.dumps(listing, indent=1).encode())


@dataclass(frozen=True, eq=False)
class Sprites:
    """The prepared drawings: (n, SIDE, SIDE, 4) uint8 straight alpha, mapped from disk, shared by workers."""

    rows: dict[str, int]
    table: NDArray[np.uint8]
    others: NDArray[np.uint8]

    @classmethod
    def load(cls, folder: Path) -> Sprites:
        """What `prepare` wrote; InputError where the data stage has not run."""
        try:
            names = json.loads((folder / "sprites.json").read_text())["sprites"]
            table = np.load(folder / "sprites.npy", mmap_mode="r")
            others = np.load(folder / "others.npy", mmap_mode="r")
        except FileNotFoundError as error:
            raise InputError(
                f"There are no sprites in {folder}.",
                advice="Run the data stage first: python -m starter_model data.",
            ) from error
        return cls({name: row for row, name in enumerate(names)}, table, others)

    def sprite(self, word: str, colour: str | None) -> NDArray[np.uint8]:
        """(SIDE, SIDE, 4) uint8 of one concept, as drawn or in a colour."""
        return self.table[self.rows[word if colour is None else f"{word}/{colour}"]]
