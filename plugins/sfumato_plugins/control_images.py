"""Control images by classic means: edges, scribbles, areas of colour. OpenCV is imported when used."""

from __future__ import annotations

from collections.abc import Sequence
from math import pi, sqrt
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sfumato.hookspecs import hookimpl
from sfumato.params import Hint, Params
from sfumato.preprocessor import Colours, Preprocessor

_SAMPLES = 2**16
"""Pixels that colours are chosen from."""


class CannyParams(Params):
    low: Annotated[int, Field(ge=0, le=1000), Hint("Faint edges from")] = 100
    """Contrast from which an edge counts if it continues a clear one; lower finds more texture."""
    high: Annotated[int, Field(ge=0, le=1000), Hint("Clear edges from")] = 200
    """Contrast from which an edge counts by itself."""
    blur: Annotated[float, Field(ge=0, le=20), Hint("Blur first", unit="pixels")] = 0.0
    """Blur the picture by this much before looking, so that grain and texture draw no lines."""


class Canny(Preprocessor[CannyParams]):
    """Canny 1986, as OpenCV has it: 3x3 Sobel, L1 norm, the strongest of the three colours."""

    name = "canny"
    title = "Edges (Canny)"
    summary = "Thin white lines where the picture changes sharply."
    params = CannyParams

    def make(self, picture: Colours, params: CannyParams) -> Colours:
        import cv2

        return _grey(cv2.Canny(_blurred(picture, params.blur), params.low, params.high))


class SoftEdgeParams(Params):
    width: Annotated[float, Field(ge=0.5, le=20), Hint("Width", unit="pixels", step=0.5)] = 1.5
    """How wide the edges are; wide ones also leave out fine texture."""
    gain: Annotated[float, Field(ge=0.1, le=50), Hint("Gain", step=0.5)] = 4.0
    """How bright faint edges become beside clear ones."""


class SoftEdge(Preprocessor[SoftEdgeParams]):
    """1 - exp(-g m), with m the gradient of the blurred picture; m is 1 on a step from black to white."""

    name = "soft_edge"
    title = "Soft edges"
    summary = "Edges as soft light, brighter where the picture changes more."
    params = SoftEdgeParams

    def make(self, picture: Colours, params: SoftEdgeParams) -> Colours:
        import cv2

        smooth = _blurred(picture.astype(np.float32) / 255, params.width)
        across, down = (cv2.Sobel(smooth, cv2.CV_32F, x, 1 - x, ksize=3, scale=1 / 8) for x in (1, 0))
        steepest = _planes(cv2.magnitude(across, down)).max(axis=2)
        relative = steepest * params.width * sqrt(2 * pi)
        return _grey(np.rint(255 * (1 - np.exp(-params.gain * relative))).astype(np.uint8))


class ScribbleParams(Params):
    simplify: Annotated[float, Field(ge=0.5, le=20), Hint("Simplify", unit="pixels", step=0.5)] = 3.0
    """Blur the picture by this much before drawing: more leaves only the large shapes."""
    contrast: Annotated[int, Field(ge=1, le=500), Hint("Contrast from")] = 40
    """Contrast, after blurring, from which a line is drawn."""
    thickness: Annotated[int, Field(ge=1, le=31), Hint("Thickness", unit="pixels")] = 5
    """Thickness of the pen."""
    shortest: Annotated[int, Field(ge=0, le=1000), Hint("Shortest stroke", unit="pixels", advanced=True)] = 20
    """Strokes of fewer pixels are left out."""


class Scribble(Preprocessor[ScribbleParams]):
    """Edges of the blurred picture, without the short ones, drawn with a round pen."""

    name = "scribble"
    title = "Scribble"
    summary = "A few thick white strokes, as if drawn by hand."
    params = ScribbleParams

    def make(self, picture: Colours, params: ScribbleParams) -> Colours:
        import cv2

        edges = cv2.Canny(_blurred(picture, params.simplify), params.contrast / 2, params.contrast)
        _, strokes, measures, _ = cv2.connectedComponentsWithStats(edges, connectivity=8)
        long = measures[:, cv2.CC_STAT_AREA] >= params.shortest
        long[0] = False  # the background
        pen = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (params.thickness, params.thickness))
        kept = long[np.asarray(strokes, np.int32)]
        return _grey(cv2.dilate(kept.astype(np.uint8) * 255, pen))


class SegmentationParams(Params):
    colours: Annotated[int, Field(ge=2, le=32), Hint("Colours")] = 8
    """How many colours are left."""
    tidy: Annotated[int, Field(ge=0, le=50), Hint("Tidy up", unit="pixels")] = 4
    """Each pixel takes the colour most pixels have this far around it; more makes larger, rounder areas."""


class Segmentation(Preprocessor[SegmentationParams]):
    """k-means in CIE Lab, then a vote among neighbours; each area is painted in its own mean colour."""

    name = "segmentation"
    title = "Areas of one colour"
    summary = "Divides the picture into flat areas by colour."
    params = SegmentationParams

    def make(self, picture: Colours, params: SegmentationParams) -> Colours:
        import cv2

        lab = np.asarray(cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2Lab), np.float32)
        labels = _elected(_nearest(lab, _centres(lab, params.colours)), params.colours, params.tidy)
        sizes = np.maximum(np.bincount(labels.ravel(), minlength=params.colours), 1)
        sums = [
            np.bincount(labels.ravel(), band.ravel(), params.colours) for band in np.moveaxis(picture, 2, 0)
        ]
        return np.rint(np.stack(sums, axis=1) / sizes[:, None]).astype(np.uint8)[labels]


class AsIs(Preprocessor[Params]):
    """The picture itself."""

    name = "as_is"
    title = "Already a control image"
    summary = "Takes the picture as it is: a drawing, a depth map, a pose."

    def make(self, picture: Colours, params: Params) -> Colours:
        return picture


@hookimpl
def register_controls() -> Sequence[Preprocessor[Any]]:
    return [Canny(), SoftEdge(), Scribble(), Segmentation(), AsIs()]


def _grey(plane: NDArray[Any]) -> Colours:
    return np.repeat(np.asarray(plane, np.uint8)[..., None], 3, axis=2)


def _planes(picture: NDArray[Any]) -> NDArray[Any]:
    """(H, W) or (H, W, C) -> (H, W, C)"""
    return picture if picture.ndim == 3 else picture[..., None]


def _blurred(picture: NDArray[Any], sigma: float) -> NDArray[Any]:
    import cv2

    return np.ascontiguousarray(picture) if sigma == 0 else cv2.GaussianBlur(picture, (0, 0), sigma)


def _centres(lab: NDArray[np.float32], colours: int) -> NDArray[np.float32]:
    """(k, 3) with k ≤ colours: k-means over a sample on a regular grid, from a fixed seed."""
    import cv2

    pixels = lab.reshape(-1, 3)
    sample = np.ascontiguousarray(pixels[:: max(len(pixels) // _SAMPLES, 1)])
    distinct = np.unique(sample, axis=0)
    if len(distinct) <= colours:
        return distinct
    cv2.setRNGSeed(0)
    enough = cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_MAX_ITER, 30, 0.1
    start = np.zeros((len(sample), 1), np.int32)
    _, _, centres = cv2.kmeans(sample, colours, start, enough, 2, cv2.KMEANS_PP_CENTERS)
    return np.asarray(centres, np.float32)


def _nearest(lab: NDArray[np.float32], centres: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(H, W): for each pixel the number of its nearest centre; one centre at a time, to spare memory."""
    labels, best = np.zeros(lab.shape[:2], np.uint8), np.full(lab.shape[:2], np.inf, np.float32)
    for number, centre in enumerate(centres):
        distance = ((lab - centre) ** 2).sum(axis=2)
        closer = distance < best
        labels[closer], best[closer] = number, distance[closer]
    return labels


def _elected(labels: NDArray[np.uint8], colours: int, reach: int) -> NDArray[np.uint8]:
    """(H, W): the most frequent label within `reach` pixels; the first of equals."""
    import cv2

    if reach == 0:
        return labels
    winner, best = np.zeros_like(labels), np.full(labels.shape, -1, np.float32)
    side = 2 * reach + 1
    for number in range(colours):
        votes = cv2.boxFilter((labels == number).astype(np.float32), -1, (side, side), normalize=False)
        more = votes > best
        winner[more], best[more] = number, votes[more]
    return winner
