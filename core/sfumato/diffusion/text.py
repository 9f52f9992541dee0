"""Prompts as the network sees them: embeddings, which tokens make which word, and how two prompts align."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sfumato.errors import InputError
from sfumato.prompts import words


@dataclass(frozen=True, eq=False)
class Text:
    """An encoded prompt of context length L."""

    prompt: str
    """Without its weights."""
    embeddings: Tensor
    """(1, L, D)"""
    ids: tuple[int, ...]
    """Tokens from begin to end marker, without padding."""
    spans: tuple[tuple[int, ...], ...]
    """For each word of `words(prompt)` the positions of its tokens; empty if the prompt was cut before it."""
    pooled: Tensor | None = None
    """(1, D'): the second encoder's summary of the prompt, for models that take one (SDXL)."""

    @property
    def length(self) -> int:
        return self.embeddings.shape[1]

    def to(self, device: torch.device | str) -> Text:
        """The same on another device."""
        pooled = None if self.pooled is None else self.pooled.to(device)
        return replace(self, embeddings=self.embeddings.to(device), pooled=pooled)

    def tokens_of(self, word: str) -> tuple[int, ...]:
        """Positions of every occurrence of a word; case is ignored.

        Raises `InputError` if the prompt has no such word, or was cut off before it.
        """
        found = [
            span
            for each, span in zip(words(self.prompt), self.spans, strict=True)
            if each.text.lower() == word.lower()
        ]
        if not any(found):
            raise InputError(f"The word '{word}' is not in the prompt '{self.prompt}'.")
        return tuple(position for span in found for position in span)


def replacement(source: Text, target: Text, *, official_suffix: bool = False) -> Tensor:
    """M (L, L) of Prompt-to-Prompt's word swap: A_target = A_source M (Hertz et al. 2022, equation 3).

    Words pair up in order; a word with another number of tokens spreads its attention evenly. What follows
    stays aligned with its own word after a change of token count, which the published code does not do:
    `official_suffix` matches it position to position instead. Every row sums to 1 without it.

    Raises `InputError` if the prompts differ in their number of words.
    """
    if len(source.spans) != len(target.spans):
        raise InputError(
            "Replacing words needs prompts with the same number of words; "
            f"these have {len(source.spans)} and {len(target.spans)}.",
            advice="Choose 'refine', which also takes added and removed words.",
        )
    M = torch.zeros(source.length, target.length)
    M[0, 0] = 1
    pairs = [(s, t) for s, t in zip(source.spans, target.spans, strict=True) if s and t]
    for s, t in pairs:
        if len(s) == len(t):
            M[list(s), list(t)] = 1
        else:
            M[torch.tensor(s)[:, None], torch.tensor(t)[None]] = 1 / len(t)
    if official_suffix:
        return _by_position(M, source, target)
    return _padding(_unclaimed(M, source, target), len(source.ids) - 1, len(target.ids) - 1)


def _unclaimed(M: Tensor, source: Text, target: Text) -> Tensor:
    """Pair tokens that belong to no word (punctuation) in order; one left over looks to the end marker."""
    free_s = [i for i in range(1, len(source.ids) - 1) if not M[i].any()]
    free_t = [j for j in range(1, len(target.ids) - 1) if not M[:, j].any()]
    for i, j in zip(free_s, free_t, strict=False):
        M[i, j] = 1
    for i in free_s[len(free_t) :]:
        M[i, len(target.ids) - 1] = 1
    return M


def _padding(M: Tensor, end_s: int, end_t: int) -> Tensor:
    """Align end markers and padding in order; the last one stands for what only one prompt has."""
    tail_s, tail_t = M.shape[0] - end_s, M.shape[1] - end_t
    shared = min(tail_s, tail_t)
    for k in range(shared):
        M[end_s + k, end_t + k] = 1
    M[end_s + shared :, -1] = 1
    if tail_t > shared:
        M[-1, end_t + shared - 1 :] = 1 / (tail_t - shared + 1)
    return M


def _by_position(M: Tensor, source: Text, target: Text) -> Tensor:
    """Behind the last changed word write M[j, j], as the published code does, whatever the token counts."""
    texts = zip(words(source.prompt), words(target.prompt), target.spans, strict=True)
    behind = max(
        (max(span) + 1 for s, t, span in texts if span and s.text.lower() != t.text.lower()), default=0
    )
    M[:, behind:] = 0
    tail = torch.arange(behind, M.shape[1])
    M[tail, tail] = 1
    return M


@dataclass(frozen=True, eq=False)
class Refinement:
    """f[..., j] = A_source[..., m_j] e_j + A_target[..., j] (1 - e_j) (Hertz et al. 2022, equation 4)."""

    m: Tensor
    """(L,) the source token of each target token; 0 where there is none."""
    e: Tensor
    """(L,) in {0, 1}: 0 exactly on tokens the target adds or changes."""


def refinement(source: Text, target: Text) -> Refinement:
    """Align two prompts token by token: Needleman-Wunsch, match 1, mismatch -1, gap 0.

    Padding maps to itself. A substituted word keeps its own attention, as an added one does.
    """
    length = target.length
    m, e = torch.arange(length), torch.ones(length)
    for j, i in enumerate(_align(source.ids, target.ids)):
        m[j], e[j] = (0, 0.0) if i is None else (i, 1.0)
    return Refinement(m, e)


def _align(a: tuple[int, ...], b: tuple[int, ...]) -> list[int | None]:
    """For each element of b its partner in a, or None."""
    best = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, token in enumerate(a, 1):
        for j, other in enumerate(b, 1):
            diagonal = best[i - 1][j - 1] + (1 if token == other else -1)
            best[i][j] = max(diagonal, best[i - 1][j], best[i][j - 1])
    partners: list[int | None] = [None] * len(b)
    i, j = len(a), len(b)
    while i and j:
        match = a[i - 1] == b[j - 1]
        if match and best[i][j] == best[i - 1][j - 1] + 1:
            i, j = i - 1, j - 1
            partners[j] = i
        elif best[i][j] == best[i][j - 1]:
            j -= 1
        else:
            i -= 1
    return partners


def equalizer(target: Text, weights: Mapping[str, float]) -> Tensor:
    """q (L,): the factor on each target token's attention (Hertz et al. 2022, equation 5); 1 elsewhere.

    Raises `InputError` for a word the prompt does not have.
    """
    q = torch.ones(target.length)
    for word, factor in weights.items():
        q[list(target.tokens_of(word))] = factor
    return q
