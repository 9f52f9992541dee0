"""Prompt-to-Prompt: the new words look where the old ones looked."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field

from sfumato.diffusion.attention import Hook, MapStore, Plan, map_sites, self_sites
from sfumato.diffusion.blending import LocalBlend
from sfumato.diffusion.branches import inverted_branch, skipped
from sfumato.diffusion.inversion import Inversion
from sfumato.diffusion.prompt_control import ROWS, Windows, cross_edit, prompt_hooks
from sfumato.diffusion.sampling import StepState, descend, shown
from sfumato.diffusion.schedule import Grid
from sfumato.diffusion.text import Text, equalizer
from sfumato.hookspecs import hookimpl
from sfumato.method import Ability, Edit, Editor, EditRequest, Need, Progress
from sfumato.models.model import Model
from sfumato.params import Hint, Params
from sfumato.prompts import changed_things, words


class P2PParams(Params):
    edit: Annotated[Literal["auto", "replace", "refine"], Field(), Hint("Kind of edit")] = "auto"
    """Replace gives a new word the old word's place; refine also takes added and removed words. Auto replaces
    when both prompts have the same number of words."""
    cross_steps: Annotated[float, Field(ge=0, le=1), Hint("Keep the layout", unit="share of steps")] = 0.8
    """How long words attend where the source's words attended. Shorter allows larger changes of shape."""
    self_steps: Annotated[float, Field(ge=0, le=1), Hint("Keep the shapes", unit="share of steps")] = 0.4
    """How long the picture's own structure is taken from the source. Shorter allows new outlines."""
    local: Annotated[Literal["off", "changed words", "chosen words"], Field(), Hint("Change only near")] = (
        "changed words"
    )
    """Let only the area where these words attend change; everything else is held to the source."""
    local_source: Annotated[str, Field(max_length=200), Hint("Words in the source", advanced=True)] = ""
    """For 'chosen words': words of the source prompt, separated by blanks."""
    local_target: Annotated[str, Field(max_length=200), Hint("Words in the target", advanced=True)] = ""
    """For 'chosen words': words of the target prompt, separated by blanks."""
    spared: Annotated[str, Field(max_length=200), Hint("But not near", advanced=True)] = ""
    """Words of either prompt, separated by blanks: where they attend, nothing changes."""
    threshold: Annotated[float, Field(ge=0, le=1), Hint("Area threshold", advanced=True)] = 0.3
    """How strongly a spot must attend to the words to count, relative to the strongest spot."""
    local_start: Annotated[
        float, Field(ge=0, le=1), Hint("Area from", unit="share of steps", advanced=True)
    ] = 0.2
    """When the area begins to hold; earlier maps are too vague."""
    maps_from: Annotated[
        Literal["source row", "inversion pass"], Field(), Hint("Maps from", advanced=True)
    ] = "source row"
    """Take the source's attention while it is sampled again, or as it was during the inversion."""
    self_limit: Annotated[
        int, Field(ge=1, le=128), Hint("Shapes up to", unit="tokens a side", advanced=True)
    ] = 32
    """Largest attention map whose structure is taken from the source."""
    official_area: Annotated[bool, Field(), Hint("Published area", advanced=True)] = False
    """Find the area near the words as the published code does: in the maps after the source's took their
    place, relative to the strongest spot alone, and a step earlier. It covers more."""
    count_from: Annotated[
        Literal["first step that runs", "noisiest step"], Field(), Hint("Count steps from", advanced=True)
    ] = "first step that runs"
    """Where the shares of steps begin if an edit starts later: published as the first step that runs."""
    self_uncond: Annotated[
        float, Field(ge=0, le=1), Hint("Shapes without words", unit="share of steps", advanced=True)
    ] = 0.0
    """For how long the structure is kept in the half that sees no words as well (StyleDiffusion's P2Plus)."""
    official_rows: Annotated[bool, Field(), Hint("Published batch of rows", advanced=True)] = False
    """Compute all four rows at every step, as the published code does, though a pinned source needs fewer:
    only the last bits of the result differ."""
    official_suffix: Annotated[bool, Field(), Hint("Published word alignment", advanced=True)] = False
    """Align words behind a changed word as the published code does, even where that is off by a token."""


class PromptToPrompt(Editor[P2PParams]):
    """Hertz et al.: Prompt-to-Prompt Image Editing with Cross-Attention Control, 2022, algorithm 1.

    Rows: src.u, tgt.u, src.c, tgt.c; only the conditional half is controlled, V is never replaced. With a
    pinned source (direct inversion) src.u is not computed, and src.c only while its maps are read.
    """

    name = "p2p"
    title = "Prompt-to-Prompt"
    summary = (
        "Swaps, adds or weighs words and keeps the composition: new words look where the old ones looked."
    )
    paper = "https://arxiv.org/abs/2208.01626"
    params = P2PParams
    needs = frozenset({Need.IMAGE, Need.SOURCE_PROMPT, Need.TARGET_PROMPT})
    abilities = frozenset({Ability.PROMPTS, Ability.ATTENTION})
    uses = frozenset({"trajectory", "context", "noise", "pin"})
    unmoved = (
        "Prompt-to-Prompt keeps things where they are and as large as they are; for another place, size or "
        "pose choose Re-prompt or MasaCtrl."
    )

    def edit(
        self, request: EditRequest[P2PParams], inversion: Inversion | None, model: Model
    ) -> Generator[Progress, None, Edit]:
        assert inversion is not None
        grid = inversion.grid
        control = AttentionControl(request, model, grid)
        branches = [inverted_branch(model, request, inversion, "tgt", request.target)]
        if control.plan.wanted:
            # An inversion with noise maps saw, at each step, the very latent its source row passes again.
            as_inverted = request.params.maps_from == "inversion pass" and inversion.noise is None
            source = inverted_branch(model, request, inversion, "src", request.source)
            pin = inversion.trajectory if inversion.pin or as_inverted else None
            branches.insert(0, replace(source, pin=pin, as_inverted=as_inverted))
        states = descend(model, request, inversion, branches, control.plan)
        last = yield from shown(states, "tgt", grid, control.settle)
        latents, source = last.latents["tgt"], last.latents.get("src")
        if control.blend is None:
            return Edit(latents=latents, source=source, notes=control.notes)
        return Edit(
            latents=latents,
            source=source,
            mask=control.blend.mask(latents.shape).float(),
            mask_follows_edges=control.blend.follows_edges,
            notes=control.notes,
        )


class AttentionControl:
    """What Prompt-to-Prompt does to attention for one request, as a plan, and its local blend."""

    def __init__(self, request: EditRequest[P2PParams], model: Model, grid: Grid) -> None:
        p = request.params
        self.source, self.target = model.text(request.source), model.text(request.target)
        first, steps = skipped(request.start, grid), grid.steps
        zero = first if p.count_from == "first step that runs" else 0
        cross = range(first, min(zero + int(p.cross_steps * (steps + 1)), steps))
        structure = range(first, min(zero + int(p.self_steps * steps), steps))
        act = cross_edit(
            self.source,
            self.target,
            equalizer(self.target, request.word_weights),
            kind=p.edit,
            official_suffix=p.official_suffix,
        )
        windows = Windows(cross, structure)
        hooks = prompt_hooks(model.sites, request.latent_shape, windows, act, self_limit=p.self_limit)
        self.blend = self._local_blend(p, request, model, range(first, steps))
        if self.blend is not None:
            watch = self.blend.maps.hook(range(first, steps), ROWS)
            hooks = (*hooks, watch) if p.official_area else (watch, *hooks)
        plus = range(first, min(zero + int(p.self_uncond * steps), steps))
        selves = frozenset(self_sites(model.sites, request.latent_shape, p.self_limit**2))
        without = Hook(selves, plus, ("src.u", "tgt.u"), lambda A, *_: {"tgt.u": A["src.u"]})
        also = frozenset({"src.u", "src.c"}) if p.official_rows else frozenset()
        self.plan = Plan((*hooks, without), also=also)
        idle = bool(set(request.word_weights.values()) - {1.0}) and not cross
        self.notes = ("Word weights act while the layout is kept; that is 0 steps now.",) if idle else ()

    def settle(self, state: StepState) -> None:
        """After a step: blend. Raises `MethodError` if the plan was to act and found nowhere to."""
        self.plan.check_acted(PromptToPrompt.title, state.i)
        if self.blend is not None:
            self.blend(state)

    @staticmethod
    def _local_words(
        p: P2PParams, request: EditRequest[P2PParams]
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """(source words, target words) whose area may change; both empty for the whole picture."""
        if p.local == "changed words":
            return changed_things(request.source, request.target)
        if p.local == "chosen words":
            return tuple(p.local_source.split()), tuple(p.local_target.split())
        return (), ()

    def _local_blend(
        self, p: P2PParams, request: EditRequest[P2PParams], model: Model, steps: range
    ) -> LocalBlend | None:
        """The blend sees the target's own maps: its area must take the new shape, not repeat the old one."""
        source, target = self._local_words(p, request)
        if not (source and target):
            return None
        return LocalBlend(
            maps=MapStore(map_sites(model.sites, request.latent_shape), request.latent_shape),
            source_tokens=tuple(k for word in source for k in self.source.tokens_of(word)),
            target_tokens=tuple(k for word in target for k in self.target.tokens_of(word)),
            threshold=p.threshold,
            first_step=steps.start + int(p.local_start * len(steps)) + (not p.official_area),
            about_kept=bool(set(source) & set(target)),
            as_published=p.official_area,
            spared_tokens=(_tokens_in(self.source, p.spared), _tokens_in(self.target, p.spared)),
        )


def _tokens_in(text: Text, spared: str) -> tuple[int, ...]:
    """Positions of those of some words, separated by blanks, that a prompt has."""
    there = {word.text.lower() for word in words(text.prompt)}
    return tuple(k for word in spared.split() if word.lower() in there for k in text.tokens_of(word))


@hookimpl
def register_editors() -> Sequence[Editor[Any]]:
    return [PromptToPrompt()]
