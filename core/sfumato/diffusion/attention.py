"""Attention under control: named sites in execution order, and a plan of what happens at which step.

A plan is an argument of one denoiser call; `processors` carries it out for that call alone. Three kinds of
hook: on the probabilities of a site, on its queries, keys and values, and on the output of any module.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from torch import Tensor, nn

from sfumato.errors import MethodError

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


def late_decoder(sites: Sequence[Site]) -> tuple[Site, ...]:
    """The role "late decoder": self sites of the last two up-blocks, of a two-block U-Net of the last one.

    In Stable Diffusion 1.x layers 10 to 15, where MasaCtrl begins.
    """
    up = [site for site in sites if site.kind == "self" and site.name.startswith("up_blocks.")]
    blocks = max((int(site.name.split(".")[1]) + site.scale.bit_length() for site in up), default=0)
    coarsest = 2 if blocks > 2 else 1
    return tuple(site for site in up if site.scale <= coarsest)


def layout_places(sites: Sequence[Site]) -> tuple[str | None, tuple[Site, ...]]:
    """The role "layout", where the decoder knows what is where and not yet how it looks, as
    (path of a convolution, self sites).

    The second residual block of the first up-block with attention, and the self sites from there on. In
    Stable Diffusion 1.x up_blocks[1].resnets[1].conv2 and layers 8 to 15, as Plug-and-Play has them.
    """
    up = [site for site in sites if site.kind == "self" and site.name.startswith("up_blocks.")]
    if not up:
        return None, ()
    block = ".".join(up[0].name.split(".")[:2])
    before = f"{block}.attentions.0."
    return f"{block}.resnets.1.conv2", tuple(site for site in up if not site.name.startswith(before))


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


class Qkv(NamedTuple):
    """Queries, keys and values of one row at one site, each (heads, tokens, d)."""

    query: Tensor
    key: Tensor
    value: Tensor
    bias: Tensor | None = None
    """(queries, keys), added to the scores; -inf forbids a query a key."""


Streams = Mapping[str, Qkv]


@dataclass(frozen=True)
class StreamHook:
    """At `sites`, during `steps`: read queries, keys and values of some rows, give new ones for others.

    No probability is materialised. A row may be given more keys and values than it had (MasaCtrl's union).
    """

    sites: frozenset[Site]
    steps: range
    reads: tuple[str, ...]
    act: Callable[[Streams, Site, int], Streams]


Features = Mapping[str, Tensor]
"""For each row the output of a module, (C, h, w) or whatever it gives per row."""


@dataclass(frozen=True)
class FeatureHook:
    """At the module of that path, during `steps`: read the output of some rows, give a new one for others."""

    module: str
    """E.g. "up_blocks.1.resnets.1.conv2"."""
    steps: range
    reads: tuple[str, ...]
    act: Callable[[Features, int], Features]


AnyHook = Hook | StreamHook | FeatureHook


@dataclass
class Plan:
    """The hooks of one edit, in order, and where they really acted."""

    hooks: tuple[AnyHook, ...] = ()
    acted: set[tuple[str, int]] = field(default_factory=set)
    """(site or module, step)"""
    also: frozenset[str] = frozenset()
    """Rows to compute though no hook reads them, so that a batch has the layout of published code."""

    def at(self, step: int) -> dict[Site, list[Hook | StreamHook]]:
        """Sites with something to do at a step."""
        active: defaultdict[Site, list[Hook | StreamHook]] = defaultdict(list)
        for hook in self.hooks:
            if step in hook.steps and not isinstance(hook, FeatureHook):
                for site in hook.sites:
                    active[site].append(hook)
        return dict(active)

    def features(self, step: int) -> tuple[FeatureHook, ...]:
        """Hooks on module outputs at a step."""
        return tuple(hook for hook in self.hooks if isinstance(hook, FeatureHook) and step in hook.steps)

    def reads(self, step: int) -> frozenset[str]:
        """Rows that must be computed at a step because a hook reads them."""
        return self.also | frozenset(
            row for hook in self.hooks if step in hook.steps and _has_place(hook) for row in hook.reads
        )

    @property
    def wanted(self) -> bool:
        """Whether any hook has a step to act in."""
        return any(len(hook.steps) for hook in self.hooks)

    def check_acted(self, title: str, step: int) -> None:
        """Raise `MethodError` if hooks had a step to act in up to `step` and found nowhere to."""
        opened = any(hook.steps.start <= step for hook in self.hooks if len(hook.steps))
        if opened and not self.acted:
            raise MethodError(
                f"{title} found no attention layer of this model to act on.",
                kept="Your picture is unchanged.",
                advice="Choose another method for this model.",
            )


def _has_place(hook: AnyHook) -> bool:
    return isinstance(hook, FeatureHook) or bool(hook.sites)


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

    @property
    def empty(self) -> bool:
        """Whether nothing was seen yet."""
        return not self._sums

    def average(self, row: str) -> Tensor:
        """(L, h', w'): the mean map of every token."""
        return self._sums[row] / self._counts[row]

    def area(self, row: str, tokens: Sequence[int], threshold: float, *, by_maximum: bool = False) -> Tensor:
        """(1, 1, h', w') bool: where tokens together, scaled to [0, 1] between their extremes, exceed it.

        `by_maximum` scales between 0 and their maximum.
        """
        attended = self.average(row)[list(tokens)].sum(0)[None, None]
        low, high = attended.new_zeros(()) if by_maximum else attended.min(), attended.max()
        return (attended - low) / (high - low).clamp_min(1e-12) > threshold

    def clear(self) -> None:
        """Forget what was seen, for averages over a single step."""
        self._sums.clear()
        self._counts.clear()
