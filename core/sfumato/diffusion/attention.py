"""Attention under control: named sites in execution order, and a plan of what happens at which step.

A plan is an argument of one denoiser call. Its processors are installed for that call and taken out after
it, whatever happens, so a suspended, cancelled or failed edit never leaves a patched network behind.
Probabilities are materialised only at sites and steps a hook asks for; all else keeps the fused kernel.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

Kind = Literal["self", "cross"]


@dataclass(frozen=True)
class Site:
    """One attention layer of the network."""

    name: str
    """Its module path, e.g. "up_blocks.1.attentions.0.transformer_blocks.0.attn2"."""
    kind: Kind
    index: int
    """Number of its transformer layer in execution order; a layer has one self and one cross site."""
    scale: int
    """Latent cells per token, along one side."""

    def tokens(self, latent_shape: Sequence[int]) -> int:
        """Number of queries for a latent (.., h, w)."""
        height, width = self.grid(latent_shape)
        return height * width

    def grid(self, latent_shape: Sequence[int]) -> tuple[int, int]:
        """Rows and columns of its queries; strided convolutions round up."""
        height, width = latent_shape[-2:]
        return -(-height // self.scale), -(-width // self.scale)


def find_sites(unet: nn.Module) -> tuple[Site, ...]:
    """All attention sites of a `UNet2DConditionModel`: down, middle, up, as they are executed."""
    down, up = (
        list(unet.get_submodule("down_blocks").children()),
        list(unet.get_submodule("up_blocks").children()),
    )
    places = [(f"down_blocks.{i}", block, 2**i) for i, block in enumerate(down)]
    middle = getattr(unet, "mid_block", None)
    if middle is not None:
        places.append(("mid_block", middle, 2 ** (len(down) - 1)))
    places += [(f"up_blocks.{i}", block, 2 ** (len(up) - 1 - i)) for i, block in enumerate(up)]
    sites: list[Site] = []
    for prefix, block, scale in places:
        for path, _ in block.named_modules():
            if path.endswith((".attn1", ".attn2")):
                kind: Kind = "self" if path.endswith("1") else "cross"
                sites.append(Site(f"{prefix}.{path}", kind, len(sites) // 2, scale))
    return tuple(sites)


def map_sites(sites: Sequence[Site], latent_shape: Sequence[int]) -> tuple[Site, ...]:
    """The role "maps": cross sites whose resolution is nearest to 16x16 tokens."""
    cross = [site for site in sites if site.kind == "cross"]
    nearest = min((abs(site.tokens(latent_shape) - 256) for site in cross), default=0)
    return tuple(site for site in cross if abs(site.tokens(latent_shape) - 256) == nearest)


def self_sites(sites: Sequence[Site], latent_shape: Sequence[int], limit: int = 1024) -> tuple[Site, ...]:
    """The role "self limit": self sites of at most `limit` tokens (32x32)."""
    return tuple(s for s in sites if s.kind == "self" and s.tokens(latent_shape) <= limit)


Probabilities = Mapping[str, Tensor]
"""For each row, softmax(QKᵀ/√d): (heads, queries, keys)."""


@dataclass(frozen=True)
class Hook:
    """At `sites`, during `steps`: read the probabilities of some rows, give new ones for others.

    `act(probabilities, site, step)` returns the rows it replaces; it must not write into what it was given.
    """

    sites: frozenset[Site]
    steps: range
    reads: tuple[str, ...]
    act: Callable[[Probabilities, Site, int], Probabilities]


@dataclass
class Plan:
    """The hooks of one edit, in order, and where they really acted."""

    hooks: tuple[Hook, ...] = ()
    acted: set[tuple[str, int]] = field(default_factory=set)

    def at(self, step: int) -> dict[Site, list[Hook]]:
        """Sites with something to do at a step."""
        active: defaultdict[Site, list[Hook]] = defaultdict(list)
        for hook in self.hooks:
            if step in hook.steps:
                for site in hook.sites:
                    active[site].append(hook)
        return dict(active)

    def reads(self, step: int) -> frozenset[str]:
        """Rows that must be computed at a step because a hook reads them."""
        return frozenset(
            row for hook in self.hooks if step in hook.steps and hook.sites for row in hook.reads
        )

    @property
    def wanted(self) -> bool:
        """Whether any hook has a step to act in."""
        return any(len(hook.steps) for hook in self.hooks)


@contextmanager
def attention(unet: nn.Module, plan: Plan | None, step: int, rows: Sequence[str]) -> Iterator[None]:
    """Install the plan's processors for one network call; restore the previous ones on the way out."""
    active = plan.at(step) if plan else {}
    before: dict[Site, Any] = {site: unet.get_submodule(site.name) for site in active}
    originals: dict[Site, Any] = {site: module.processor for site, module in before.items()}
    try:
        for site, module in before.items():
            assert plan is not None
            module.set_processor(_Controlled(site, active[site], plan, (step, tuple(rows))))
        yield
    finally:
        for site, module in before.items():
            module.set_processor(originals[site])


class _Controlled:
    """An attention processor with explicit softmax, under a plan."""

    def __init__(
        self, site: Site, hooks: list[Hook], plan: Plan, moment: tuple[int, tuple[str, ...]]
    ) -> None:
        self.site, self.hooks, self.plan = site, hooks, plan
        self.step, self.rows = moment

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        **_: Any,
    ) -> Tensor:
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        if attn.norm_cross and encoder_hidden_states is not None:
            context = attn.norm_encoder_hidden_states(context)
        query, key, value = attn.to_q(hidden_states), attn.to_k(context), attn.to_v(context)
        query, key, value = (_split(each, attn.heads) for each in (query, key, value))
        scores = query @ key.transpose(-1, -2) * attn.scale
        if attention_mask is not None:
            scores = scores + attention_mask.view(scores.shape[0], -1, 1, scores.shape[-1])
        probabilities = self._controlled(scores.softmax(dim=-1))
        mixed = probabilities @ value
        out = attn.to_out[1](attn.to_out[0](mixed.transpose(1, 2).flatten(2)))
        return out / attn.rescale_output_factor

    def _controlled(self, probabilities: Tensor) -> Tensor:
        """Apply the hooks in order; (rows, heads, queries, keys)."""
        current = dict(zip(self.rows, probabilities, strict=True))
        changed = False
        for hook in self.hooks:
            if all(row in current for row in hook.reads):
                new = hook.act(current, self.site, self.step)
                current |= new
                changed = changed or bool(new)
                self.plan.acted.add((self.site.name, self.step))
        return torch.stack([current[row] for row in self.rows]) if changed else probabilities


def _split(x: Tensor, heads: int) -> Tensor:
    """(rows, tokens, heads·d) -> (rows, heads, tokens, d)"""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


class MapStore:
    """Cross-attention maps of sites of one resolution: per row, averaged over heads, sites and steps."""

    def __init__(self, sites: Sequence[Site], latent_shape: Sequence[int]) -> None:
        self._sites = frozenset(sites)
        self._shapes = {site: site.grid(latent_shape) for site in sites}
        self._sums: dict[str, Tensor] = {}
        self._counts: defaultdict[str, int] = defaultdict(int)

    def hook(self, steps: range, rows: tuple[str, ...]) -> Hook:
        """A hook that watches and changes nothing."""

        def watch(probabilities: Probabilities, site: Site, step: int) -> Probabilities:
            for row in rows:
                seen = probabilities[row].float().mean(0).T.unflatten(1, self._shapes[site])
                self._sums[row] = self._sums[row] + seen if row in self._sums else seen
                self._counts[row] += 1
            return {}

        return Hook(self._sites, steps, rows, watch)

    def average(self, row: str) -> Tensor:
        """(L, h', w'): the mean map of every token."""
        return self._sums[row] / self._counts[row]
