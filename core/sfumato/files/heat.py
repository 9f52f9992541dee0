"""Numbers as colours: dark blue is little, yellow is much, for every kind of eye and for grey print."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_STOPS = np.array(
    [
        (68, 1, 84),
        (71, 44, 122),
        (59, 81, 139),
        (44, 113, 142),
        (33, 144, 141),
        (39, 173, 129),
        (92, 200, 99),
        (170, 220, 50),
        (253, 231, 37),
    ],
    np.float64,
)
"""The colour map viridis (van der Walt and Smith, 2015; public domain) at nine even steps."""


def heat(values: NDArray[np.floating], *, top: float | None = None) -> NDArray[np.uint8]:
    """(H, W) of numbers from 0 up -> (H, W, 3) uint8; `top`, by default the largest, is the brightest.

    What is not a number is shown as 0.
    """
    known = np.nan_to_num(np.asarray(values, np.float64), nan=0.0, posinf=np.inf, neginf=0.0)
    highest = float(known.max(initial=0.0)) if top is None else top
    share = np.clip(known / highest, 0, 1) if highest > 0 else np.zeros_like(known)
    places = np.linspace(0, 1, len(_STOPS))
    bands = [np.interp(share, places, band) for band in _STOPS.T]
    return np.rint(np.stack(bands, -1)).astype(np.uint8)
