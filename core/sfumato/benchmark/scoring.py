"""Every figure of one edited picture: PIE-Bench's columns, and those that a known answer allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import nan

import numpy as np

from sfumato.benchmark import metrics as m
from sfumato.benchmark.cases import Case, Pictures
from sfumato.benchmark.judge import Reader, agrees
from sfumato.benchmark.masks import Area, framed
from sfumato.benchmark.metrics import Picture
from sfumato.benchmark.networks import Clip, Structure

COLUMNS = (
    "structure_distance_pie",
    "structure_distance",
    "psnr_unedit_part",
    "mse_unedit_part",
    "ssim_unedit_part",
    "clip_similarity_source_image",
    "clip_similarity_target_image",
    "clip_similarity_target_image_edit_part",
    "psnr_truth_inside",
    "psnr_truth_outside",
    "mse_truth",
    "gain",
    "attributes_right",
)
"""In the order of the tables. The first eight bear PIE-Bench's names."""

VERSION = 2
"""Raise it when a figure changes, so that kept ones are computed again."""
Scores = Mapping[str, float]
"""By column; NaN where a case has nothing to compare, or there is no network for it."""


@dataclass(frozen=True)
class Scorer:
    """What to measure with: all that is there."""

    structure: Structure | None = None
    clip: Clip | None = None
    reader: Reader | None = None

    @property
    def names(self) -> dict[str, str]:
        """The networks by what they measure."""
        there = {"structure": self.structure, "clip": self.clip, "attributes": self.reader}
        return {what: network.name for what, network in there.items() if network is not None}

    def __call__(self, case: Case, pictures: Pictures, edited: Picture) -> dict[str, float]:
        """Score an edited picture, (H, W, 3) uint8 of the same size as the case's own."""
        scores = dict.fromkeys(COLUMNS, nan)
        area = case.area
        scores |= self._structure(pictures.source, edited)
        if area is not None:
            scores |= _unedited(pictures.source, edited, framed(area))
        scores |= self._words(case, pictures.source, edited, area)
        if pictures.truth is not None:
            scores |= _against_truth(pictures.source, edited, pictures.truth, area)
        if self.reader is not None and case.expected:
            (reading,) = self.reader.read(edited[None])
            scores["attributes_right"] = float(agrees(case.expected, reading))
        return scores

    def _structure(self, source: Picture, edited: Picture) -> dict[str, float]:
        if self.structure is None:
            return {}
        return {
            "structure_distance_pie": self.structure.distance(source, edited, as_published=True),
            "structure_distance": self.structure.distance(source, edited, as_published=False),
        }

    def _words(self, case: Case, source: Picture, edited: Picture, area: Area | None) -> dict[str, float]:
        """How well prompts fit, as far as the case has them."""
        if self.clip is None:
            return {}
        found = {}
        if case.source:
            found["clip_similarity_source_image"] = self.clip.similarity(source, case.source)
        if case.target:
            found["clip_similarity_target_image"] = self.clip.similarity(edited, case.target)
        if case.target and area is not None:
            part = m.only(edited, framed(area))
            found["clip_similarity_target_image_edit_part"] = self.clip.similarity(part, case.target)
        return found


def _unedited(source: Picture, edited: Picture, area: Area) -> dict[str, float]:
    return {
        "psnr_unedit_part": m.psnr_unedit_part(source, edited, area),
        "mse_unedit_part": m.mse_unedit_part(source, edited, area),
        "ssim_unedit_part": m.ssim_unedit_part(source, edited, area),
    }


def _against_truth(source: Picture, edited: Picture, truth: Picture, area: Area | None) -> dict[str, float]:
    """In and out of the mask as annotated; without one, of where the truth differs from the source."""
    where = np.any(source != truth, axis=-1) if area is None else area
    return {
        "psnr_truth_inside": m.psnr_where(edited, truth, where),
        "psnr_truth_outside": m.psnr_where(edited, truth, ~where),
        "mse_truth": m.mse(edited, truth),
        "gain": m.gain(edited, source, truth, where),
    }
