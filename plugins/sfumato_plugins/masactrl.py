"""MasaCtrl: a new pose for the same thing, painted with what the source looks like."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import adaptive_max_pool2d, interpolate

from sfumato.diffusion.attention import (
    MapStore,
    Plan,
    Qkv,
    Site,
    StreamHook,
    Streams,
    late_decoder,
    map_sites,
)
from sfumato.diffusion.branches import Branch, inverted_branch, lean, paired, skipped
from sfumato.diffusion.inversion import Inversion
from sfumato.diffusion.sampling import descend, shown
from sfumato.hookspecs import hookimpl
from sfumato.method import Ability, Edit, Editor, EditRequest, Need, Progress
from sfumato.models.model import Model
from sfumato.params import Hint, Params
from sfumato.prompts import changed_things


class MasaCtrlParams(Params):
    start_step: Annotated[float, Field(ge=0, le=1), Hint("New pose until", unit="share of steps")] = 0.08
    """How long the new pose may form before the picture looks at the source. Longer allows larger changes of
    shape and keeps less of the look."""
    looks: Annotated[Literal["at the source", "at both"], Field(), Hint("Looks")] = "at the source"
    """Take every detail from the source, or let the picture look at itself as well, which changes more."""
    foreground: Annotated[Literal["off", "my mask", "words"], Field(), Hint("Tell things apart by")] = "off"
    """Let what is in front look only at the source's front, and the background at its background."""
    source_words: Annotated[str, Field(max_length=200), Hint("Words in the source", advanced=True)] = ""
    """For 'words': what is in front, in words of the source prompt; empty for those the edit is about."""
    target_words: Annotated[str, Field(max_length=200), Hint("Words in the target", advanced=True)] = ""
    """For 'words': the same in words of the target prompt; empty for those the edit is about."""
    threshold: Annotated[float, Field(ge=0, le=1), Hint("Front threshold", advanced=True)] = 0.1
    """For 'words': how strongly a spot must attend to them to be in front, from weakest to strongest."""
    start_layer: Annotated[int, Field(ge=-1, le=139), Hint("From attention layer", advanced=True)] = -1
    """First layer, in order of execution, that looks at the source; -1 for the late decoder of this model.
    Published: 10 for Stable Diffusion 1, and 44, 54 or 64 for SDXL."""
    source_text: Annotated[Literal["empty", "source prompt"], Field(), Hint("Invert with", advanced=True)] = (
        "empty"
    )
    """The words under which the source is inverted and sampled. 'Words' above takes the source prompt."""


class MasaCtrl(Editor[MasaCtrlParams]):
    """Cao et al.: MasaCtrl, Tuning-Free Mutual Self-Attention Control, 2023, equations 4 to 7.

    Rows: src.u, tgt.u, src.c, tgt.c; K and V of each target row come from the source's in the same half. A
    source whose halves see the same text has one row, which serves both.
    """

    name = "masactrl"
    title = "MasaCtrl"
    summary = "Gives the same thing another pose: the shape follows the words, the look stays the source's."
    paper = "https://arxiv.org/abs/2304.08465"
    params = MasaCtrlParams
    needs = frozenset({Need.IMAGE, Need.TARGET_PROMPT})
    abilities = frozenset({Ability.PROMPTS, Ability.ATTENTION})
    uses = frozenset({"trajectory", "context", "noise", "pin"})

    def prompt_to_invert(self, request: EditRequest[MasaCtrlParams]) -> str:
        """Nothing, as published, unless the source's words are wanted."""
        p = request.params
        return request.source if p.source_text == "source prompt" or p.foreground == "words" else ""

    def edit(
        self, request: EditRequest[MasaCtrlParams], inversion: Inversion | None, model: Model
    ) -> Generator[Progress, None, Edit]:
        assert inversion is not None
        source = lean(inverted_branch(model, request, inversion, "src", self.prompt_to_invert(request)))
        source = replace(source, pin=inversion.trajectory if inversion.pin else None)
        target = inverted_branch(model, request, inversion, "tgt", request.target)
        run = range(skipped(request.start, inversion.grid), inversion.grid.steps)
        plan = mutual_attention(model, request, run, source=source, target=target)
        states = descend(model, request, inversion, [source, target] if plan.wanted else [target], plan)
        last = yield from shown(
            states, "tgt", inversion.grid, lambda state: plan.check_acted(self.title, state.i)
        )
        unused = request.params.foreground == "my mask" and request.latent_mask is None
        notes = ("There is no mask, so front and background were not told apart.",) if unused else ()
        return Edit(latents=last.latents["tgt"], source=last.latents.get("src"), notes=notes)


def mutual_attention(
    model: Model, request: EditRequest[MasaCtrlParams], run: range, *, source: Branch, target: Branch
) -> Plan:
    """The plan for the steps that are run; nothing if its window of steps or layers is closed."""
    p = request.params
    steps = run[int(p.start_step * len(run)) :]
    selves = late_decoder(model.sites)
    if p.start_layer >= 0:
        selves = tuple(s for s in model.sites if s.kind == "self" and s.index >= p.start_layer)
    if not steps or (p.start_layer >= 0 and not selves):
        return Plan()
    pairs = paired(target, source)
    reads = (*pairs, *dict.fromkeys(pairs.values()))
    if p.foreground != "words" or not selves:
        act = MutualSelfAttention(pairs, p.looks == "at both", _by_mask(request))
        return Plan((StreamHook(frozenset(selves), steps, reads, act),))
    maps = MapStore(map_sites(model.sites, request.latent_shape), request.latent_shape)
    act = MutualSelfAttention(pairs, p.looks == "at both", _by_words(request, model, maps))
    watch = maps.hook(run, (source.rows[-1].name, target.rows[-1].name))
    return Plan((watch, StreamHook(frozenset(selves), steps, reads, act)))


Front = Callable[[Site], "tuple[Tensor, Tensor] | None"]
"""At a site, what is in front in the target and in the source, each (1, 1, h, w) bool; None if unknown."""


@dataclass(frozen=True)
class MutualSelfAttention:
    """softmax(Q_t K_sᵀ/√d) V_s; with `both`, K and V are the source's and the target's own side by side."""

    pairs: dict[str, str]
    """target row -> source row"""
    both: bool
    front: Front

    def __call__(self, streams: Streams, site: Site, step: int) -> Streams:
        regions = self.front(site)
        apart = None if regions is None else divided(*regions)
        return {row: self._seen(streams[row], streams[source], apart) for row, source in self.pairs.items()}

    def _seen(self, own: Qkv, source: Qkv, apart: Tensor | None) -> Qkv:
        """A target row that looks at the source, its front and its background apart."""
        bias = None if apart is None else apart.to(own.query)
        if not self.both:
            return own._replace(key=source.key, value=source.value, bias=bias)
        key, value = torch.cat([source.key, own.key], 1), torch.cat([source.value, own.value], 1)
        free = None if bias is None else torch.cat([bias, torch.zeros_like(bias)], 1)
        return own._replace(key=key, value=value, bias=free)


def divided(target: Tensor, source: Tensor) -> Tensor | None:
    """(queries, keys): 0 from front to front and background to background, -inf across.

    None where the source has no front or no background: nothing could be looked at.
    """
    if source.all() or not source.any():
        return None
    alike = target.flatten()[:, None] == source.flatten()[None]
    return torch.zeros(alike.shape, device=alike.device).masked_fill(~alike, float("-inf"))


def _by_mask(request: EditRequest[MasaCtrlParams]) -> Front:
    mask = request.latent_mask if request.params.foreground == "my mask" else None

    def front(site: Site) -> tuple[Tensor, Tensor] | None:
        if mask is None:
            return None
        area = adaptive_max_pool2d(mask, site.grid(request.latent_shape)) > 0
        return area, area

    return front


def _by_words(request: EditRequest[MasaCtrlParams], model: Model, maps: MapStore) -> Front:
    """From the maps seen so far. Raises `InputError` for a word its prompt does not have."""
    p = request.params
    about = changed_things(request.source, request.target)
    named = p.source_words.split() or about[0], p.target_words.split() or about[1]
    texts = model.text(request.source), model.text(request.target)
    tokens = [
        [k for word in words for k in text.tokens_of(word)] for words, text in zip(named, texts, strict=True)
    ]

    def front(site: Site) -> tuple[Tensor, Tensor] | None:
        if maps.empty or not all(tokens):
            return None
        size = site.grid(request.latent_shape)
        areas = [maps.area(row, tokens[k], p.threshold).float() for k, row in ((1, "tgt.c"), (0, "src.c"))]
        target, source = (interpolate(area, size=size, mode="nearest") > 0 for area in areas)
        return target, source

    return front


@hookimpl
def register_editors() -> Sequence[Editor[Any]]:
    return [MasaCtrl()]
