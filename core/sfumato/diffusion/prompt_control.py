"""Prompt-to-Prompt's hold on attention: what row "tgt.c" takes from row "src.c" (Hertz et al. 2022, alg. 1).

Shared by every editor that couples a target to its source by their words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from sfumato.diffusion.attention import Hook, Probabilities, Site, self_sites
from sfumato.diffusion.text import Text, refinement, replacement

WordEdit = Literal["auto", "replace", "refine"]
Act = Callable[[Probabilities, Site, int], Probabilities]

ROWS = ("src.c", "tgt.c")


@dataclass(frozen=True)
class Windows:
    """The steps in which the words' attention and the picture's own structure are taken from the source."""

    cross: range
    structure: range


def prompt_hooks(
    sites: Sequence[Site], latent_shape: Sequence[int], windows: Windows, cross: Act, *, self_limit: int = 32
) -> tuple[Hook, Hook]:
    """`cross` at every cross site, and the source's maps at self sites up to `self_limit`² tokens."""
    crosses = frozenset(site for site in sites if site.kind == "cross")
    selves = frozenset(self_sites(sites, latent_shape, self_limit**2))
    return (
        Hook(crosses, windows.cross, ROWS, cross),
        Hook(selves, windows.structure, ROWS, lambda probabilities, *_: {"tgt.c": probabilities["src.c"]}),
    )


def cross_edit(
    source: Text, target: Text, q: Tensor, *, kind: WordEdit = "auto", official_suffix: bool = False
) -> Act:
    """f(A_s, A_t) · q with f = A_s M (replace) or A_s[m] e + A_t (1 - e) (refine)."""
    same_length = len(source.spans) == len(target.spans)
    if kind == "replace" or (kind == "auto" and same_length):
        M = replacement(source, target, official_suffix=official_suffix)
        return lambda A, *_: {"tgt.c": A["src.c"] @ M.to(A["src.c"]) * q.to(A["src.c"])}
    align = refinement(source, target)

    def refine(A: Probabilities, *_: object) -> Probabilities:
        A_s, A_t = A["src.c"], A["tgt.c"]
        e = align.e.to(A_t)
        return {"tgt.c": (A_s[..., align.m] * e + A_t * (1 - e)) * q.to(A_t)}

    return refine
