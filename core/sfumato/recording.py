"""What a run looked at: where each word attended, and which way the latents went. Plain data, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sfumato.errors import InputError
from sfumato.method import Pixels
from sfumato.prompts import words

StepRange = Literal["all", "early", "middle", "late"]
STEP_RANGES: tuple[StepRange, ...] = ("early", "middle", "late")
"""Thirds of the steps, the noisiest first."""
LARGEST_MAP = 32 * 32
"""Tokens of the largest attention maps that are kept."""
LONGEST_TRACK = 51
"""Points of a trajectory that are kept; longer ones are thinned evenly."""

Maps = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class WordMaps:
    """Cross-attention by word: the mean over heads, layers of one resolution, and steps of a range.

    At most 75 words x 3 ranges x (32² + 16² + 8²) float32: 1.2 MB for a prompt that fills a context of 77.
    """

    prompt: str
    maps: Mapping[tuple[int, int], Maps]
    """(h, w) -> (3, W, h, w): by range of steps and word; NaN where no step of a range was seen."""

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(word.text for word in words(self.prompt))

    @property
    def resolutions(self) -> tuple[tuple[int, int], ...]:
        """The finest first."""
        return tuple(sorted(self.maps, reverse=True))

    def of(self, word: str, steps: StepRange = "all", resolution: int | None = None) -> Maps:
        """(h, w): where a word looked, all its occurrences together, in shares of the attention there is.

        `resolution` is the longer side of the maps; left out, the one nearest 16. Raises `InputError` for a
        word the prompt does not have, or a resolution or range that was not recorded.
        """
        positions = [k for k, each in enumerate(self.words) if each.lower() == word.lower()]
        if not positions:
            raise InputError(f"The word '{word}' is not in the prompt '{self.prompt}'.")
        chosen = self._at(resolution)[:, positions].sum(1)
        ranges = chosen if steps == "all" else chosen[[STEP_RANGES.index(steps)]]
        seen = ranges[~np.isnan(ranges).any((1, 2))]
        if not len(seen):
            raise InputError(f"None of the {steps} steps was run.", advice="Choose other steps.")
        return seen.mean(0)

    def _at(self, resolution: int | None) -> Maps:
        if not self.maps:
            raise InputError("No attention between words and picture was seen.")
        wanted = 16 if resolution is None else resolution
        nearest = min(self.resolutions, key=lambda grid: abs(max(grid) - wanted))
        if resolution is not None and max(nearest) != resolution:
            known = ", ".join(str(max(grid)) for grid in self.resolutions)
            raise InputError(f"There are no attention maps of {resolution} cells; there are: {known}.")
        return self.maps[nearest]


@dataclass(frozen=True, eq=False)
class Track:
    """Latents on their way, the noisiest first."""

    levels: tuple[float, ...]
    latents: NDArray[np.float32]
    """(n, C, h, w), n at most 51."""
    previews: Pixels
    """(n, h, w, 3): each through the model's linear map to colours."""


@dataclass(frozen=True, eq=False)
class Recording:
    """What was seen of the source pass and of the target pass; None for a pass that was not run."""

    source: WordMaps | None = None
    target: WordMaps | None = None
    source_track: Track | None = None
    target_track: Track | None = None
