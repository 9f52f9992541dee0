"""Masks as PIE-Bench writes them: [start, length, start, length, ...] over a picture, row after row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfumato.errors import InputError

Area = NDArray[np.bool_]
"""(H, W); True = to be edited."""
Runs = tuple[int, ...]


def decode_runs(runs: Sequence[int], size: tuple[int, int]) -> Area:
    """The area of a (width, height) picture that runs describe; a run that is too long ends with the picture.

    Raises `InputError` as `checked_runs` does.
    """
    width, height = size
    area = np.zeros(width * height, np.bool_)
    checked = checked_runs(runs, size)
    for start, length in zip(checked[::2], checked[1::2], strict=True):
        area[start : start + length] = True
    return area.reshape(height, width)


def encode_runs(area: Area) -> Runs:
    """The runs of an area (H, W), in order, none empty and none touching the next."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], area.ravel(), [False]]).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    return tuple(np.stack([starts, ends - starts], axis=1).ravel().tolist())


def checked_runs(runs: Any, size: tuple[int, int]) -> Runs:
    """Runs from a file. Raises `InputError` if they are no pairs of whole numbers, or begin outside."""
    if not isinstance(runs, list | tuple) or not all(type(each) is int for each in runs):
        raise InputError("Its mask is not a list of whole numbers.")
    if len(runs) % 2:
        raise InputError(f"Its mask has {len(runs)} numbers; they come in pairs of start and length.")
    if runs and min(runs) < 0:
        raise InputError("Its mask has a number below 0.")
    pixels = size[0] * size[1]
    if runs and max(runs[::2]) >= pixels:
        raise InputError(
            f"Its mask has a run that starts at {max(runs[::2])}; the picture ends at {pixels - 1}.",
            advice="The mask may belong to a picture of another size.",
        )
    return tuple(runs)


def framed(area: Area) -> Area:
    """The same with the outermost pixels in it, as PIE-Bench's evaluation has it: annotations fail there."""
    result = area.copy()
    result[[0, -1], :] = True
    result[:, [0, -1]] = True
    return result
