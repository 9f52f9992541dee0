"""Documents worth saving, and small damage done to files."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from sfumato.document.layers import Document, EditInfo, Layer
from sfumato.method import Recipe


@pytest.fixture
def rich_document(display_p3: bytes) -> Document:
    """Everything a project can hold: layers off the canvas, an edit, candidates, masks, prompts."""
    rng = np.random.default_rng(11)

    def pixels(height: int, width: int):
        return rng.integers(0, 256, (height, width, 4), np.uint8)

    candidates = tuple(pixels(20, 30) for _ in range(3))
    edit = EditInfo(
        recipe=Recipe(
            source="a cat", target="a dog «ゆき»", word_weights={"dog": 1.5}, seed=2**62, editor="p2p"
        ),
        mask=rng.integers(0, 256, (50, 70), np.uint8),
        provenance={"weights": "ab" * 32, "threads": 2, "versions": {"torch": "2.13.0"}, "share": 0.1},
        candidates=candidates,
        chosen=1,
        below="cd" * 32,
    )
    layers = [
        Layer("Background", pixels(50, 70)),
        Layer("катя 猫 \U0001f431 <&\"'> \n\x07", pixels(10, 200), -100, -4, visible=False, opacity=0.1),
        Layer("edit", candidates[1], 40, 30, opacity=1 / 3, edit=edit),
        Layer("words", pixels(5, 5), 900, 900, edit=EditInfo(Recipe(editor="generate"), None, {}, (), 0, "")),
    ]
    return Document(
        width=70,
        height=50,
        layers=layers,
        mask=rng.integers(0, 256, (50, 70), np.uint8),
        profile=display_p3,
        exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0",
        title="a picture.jpg",
        recipe=Recipe(source="a cat", steps=20, editor_values={"cross_steps": 0.8, "local": True}),
    )


@pytest.fixture
def damaged() -> Callable[[bytes, int, int], Iterator[bytes]]:
    """`damaged(data, count, seed)` yields copies with bytes flipped, removed, repeated, or cut off."""

    def damage(data: bytes, count: int, seed: int) -> Iterator[bytes]:
        rng = np.random.default_rng(seed)
        for _ in range(count):
            copy = bytearray(data)
            for _ in range(rng.integers(1, 9)):
                at = int(rng.integers(0, len(copy)))
                match rng.integers(0, 5):
                    case 0 | 1:
                        copy[at] = int(rng.integers(0, 256))
                    case 2:
                        copy[at : at + 4] = bytes([int(rng.choice([0, 127, 255]))]) * 4
                    case 3:
                        copy[at:at] = copy[at : at + int(rng.integers(1, 40))]
                    case _:
                        del copy[at : at + int(rng.integers(1, 40))]
                copy = copy or bytearray(b"\0")
            if rng.random() < 0.15:
                del copy[int(rng.integers(0, len(copy))) :]
            yield bytes(copy)

    return damage
