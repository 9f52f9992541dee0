"""Ways to make a control image of a picture. No network is needed for that, and no torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import sqrt
from typing import Any, ClassVar, Generic

import numpy as np
from numpy.typing import NDArray

from sfumato.document.region import Region, cut
from sfumato.document.resampling import resize
from sfumato.errors import MethodError
from sfumato.method import Pixels
from sfumato.params import Control, P, Params

Colours = NDArray[np.uint8]
"""(H, W, 3) uint8 sRGB, opaque."""
WORKING_SIDE = 512
"""Control images are made at about this many pixels squared, as the public ControlNets' own were."""


class Preprocessor(ABC, Generic[P]):
    """A way to make a control image of a picture. Class attributes describe it to people and to forms."""

    name: ClassVar[str]
    """Goes into files and never changes."""
    title: ClassVar[str]
    summary: ClassVar[str]
    """One line, in words a photographer understands."""
    version: ClassVar[int] = 1
    """Raise it when the result changes."""
    params: ClassVar[type[Params]] = Params

    @abstractmethod
    def make(self, picture: Colours, params: P) -> Colours:
        """Return the control image of a picture, at its size."""


@dataclass(frozen=True)
class PreprocessorInfo:
    """A preprocessor described in plain data, for the window and the command line."""

    name: str
    title: str
    summary: str
    controls: tuple[Control, ...]
    origin: str = ""
    """The package it came from, with its version."""


def made_control(preprocessor: Preprocessor[Any], picture: Colours, params: Params) -> Colours:
    """Return the control image of (H, W, 3) uint8 sRGB, at its size.

    Raises `MethodError` if what the preprocessor gives is no such picture.
    """
    made = preprocessor.make(picture, params)
    if not isinstance(made, np.ndarray) or made.shape != picture.shape or made.dtype != np.uint8:
        raise MethodError(
            f"{preprocessor.title} gave no control image of the picture's size.",
            kept="Your picture is unchanged.",
        )
    return made


def control_picture(
    preprocessor: Preprocessor[Any],
    params: Params,
    picture: Pixels,
    profile: bytes | None = None,
    *,
    side: int = WORKING_SIDE,
) -> Pixels:
    """Make the control image of a document's picture: its size and alpha, in sRGB. Any thread may call this.

    Pictures of more than side² pixels are shrunk to that and the result is enlarged again, so that lines have
    the width they have where the model sees them.
    """
    height, width = picture.shape[:2]
    scale = min(1.0, side / sqrt(width * height))
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    seen = cut(picture, profile, Region((0, 0, width, height), size))
    made = made_control(preprocessor, np.rint(seen * 255).astype(np.uint8), params)
    colours = np.rint(resize(made, (width, height), smooth=False)).astype(np.uint8)
    return np.concatenate([colours, picture[..., 3:]], axis=2)
