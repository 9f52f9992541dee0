"""Watches a run and keeps little: word maps summed as they come, and the latents of a row, thinned.

Nothing it does reaches the run: probabilities are computed beside the network's own attention, from the same
queries and keys, before any plan has acted on them. Each (row, layer, step) is looked at once, so that inner
iterations and measurements that repeat a step do not count twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from sfumato.diffusion.attention import Qkv, Site, StreamHook, Streams
from sfumato.diffusion.denoiser import Seen
from sfumato.diffusion.inversion import Inversion
from sfumato.diffusion.text import Text
from sfumato.method import Edit, EditRequest
from sfumato.recording import LARGEST_MAP, LONGEST_TRACK, STEP_RANGES, Recording, Track, WordMaps

if TYPE_CHECKING:
    from sfumato.models.model import Model

SOURCE_ROW = "src.c"
TARGET_ROWS = ("tgt.c", "tgt0.c")
"""One branch, or the first of several candidates."""

Shape = tuple[int, int]


class Recorder:
    """Word maps and latents of a request's source and target rows; `source` is the prompt of the former."""

    def __init__(self, model: Model, request: EditRequest[Any], source: str) -> None:
        self._model, self._source = model, source
        self._grid = model.grid(request)
        cross, shape = [site for site in model.sites if site.kind == "cross"], request.latent_shape
        self._grids = {site: site.grid(shape) for site in cross if site.tokens(shape) <= LARGEST_MAP}
        prompts = {SOURCE_ROW: source} | dict.fromkeys(TARGET_ROWS, request.target)
        self._words = {row: _words_by_token(model.text(p)).to(model.device) for row, p in prompts.items()}
        self._sums: dict[tuple[str, Shape], Tensor] = {}
        self._counts: defaultdict[tuple[str, Shape], list[int]] = defaultdict(lambda: [0] * len(STEP_RANGES))
        self._looked: set[tuple[str, str, int]] = set()
        self._latents: dict[int, Tensor] = {}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look on at every call meanwhile."""
        hook = StreamHook(frozenset(self._grids), range(self._grid.steps), (), self._look)
        with self._model.denoiser.observed(hook, on_call=self._pass):
            yield

    def source_maps(self) -> dict[Shape, Tensor]:
        """(h, w) -> (3, W, h, w): what the source's row did so far; NaN for thirds without a step."""
        return self._maps((SOURCE_ROW,))

    def recording(
        self, request: EditRequest[Any], inversion: Inversion | None, edit: Edit | None
    ) -> Recording:
        """What a finished run leaves behind: the source as the inversion saw it, the target as edited."""
        kept = {} if inversion is None else inversion.maps
        return Recording(
            source=_word_maps(self._source, kept or self.source_maps()),
            target=_word_maps(request.target, self._maps(TARGET_ROWS)),
            source_track=self._source_track(inversion),
            target_track=None if edit is None else self._target_track(edit),
        )

    def _maps(self, rows: Sequence[str]) -> dict[Shape, Tensor]:
        return {
            shape: sums / torch.tensor(self._counts[row, shape]).to(sums).view(-1, 1, 1, 1)
            for (row, shape), sums in self._sums.items()
            if row in rows
        }

    def _source_track(self, inversion: Inversion | None) -> Track | None:
        if inversion is None or inversion.trajectory is None:
            return None
        steps = {*range(0, self._grid.steps, self._stride), self._grid.steps}
        return self._track({step: inversion.at(step) for step in steps})

    def _target_track(self, edit: Edit) -> Track | None:
        passed = self._latents
        return self._track(passed | {self._grid.steps: edit.latents[:1]}) if passed else None

    def _track(self, passed: Mapping[int, Tensor]) -> Track:
        steps = sorted(passed)
        latents = [passed[step].float().cpu() for step in steps]
        return Track(
            levels=tuple(self._grid.levels[step] for step in steps),
            latents=torch.cat(latents).numpy(),
            previews=np.stack([self._model.preview(x) for x in latents]),
        )

    @property
    def _stride(self) -> int:
        return -(-self._grid.steps // (LONGEST_TRACK - 1))

    def _pass(self, rows: Mapping[str, Seen], step: int) -> None:
        if step % self._stride == 0:
            for row in rows.keys() & set(TARGET_ROWS):
                self._latents.setdefault(step, rows[row].latent.detach().cpu())

    def _look(self, streams: Streams, site: Site, step: int) -> Streams:
        for row in self._words.keys() & streams.keys():
            if (row, site.name, step) not in self._looked:
                self._looked.add((row, site.name, step))
                self._add(row, self._grids[site], step, self._seen(streams[row], row))
        return {}

    def _seen(self, stream: Qkv, row: str) -> Tensor:
        """(W, queries): softmax(QKᵀ/√d), averaged over heads, summed over each word's tokens."""
        with torch.no_grad():
            scores = stream.query @ stream.key.transpose(-1, -2) * stream.query.shape[-1] ** -0.5
            return (scores.float().softmax(-1).mean(0) @ self._words[row]).T

    def _add(self, row: str, shape: Shape, step: int, seen: Tensor) -> None:
        span = len(STEP_RANGES) * step // self._grid.steps
        empty = seen.new_zeros(len(STEP_RANGES), len(seen), *shape)
        self._sums.setdefault((row, shape), empty)[span] += seen.unflatten(1, shape)
        self._counts[row, shape][span] += 1


def _words_by_token(text: Text) -> Tensor:
    """(L, W) in {0, 1}: which tokens make which word."""
    made_of = torch.zeros(text.length, len(text.spans))
    for k, span in enumerate(text.spans):
        made_of[list(span), k] = 1
    return made_of


def _word_maps(prompt: str, maps: Mapping[Shape, Tensor]) -> WordMaps | None:
    kept = {shape: each.float().cpu().numpy() for shape, each in maps.items()}
    return WordMaps(prompt, kept) if kept else None
