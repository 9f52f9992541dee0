"""LEDITS++: add and take away several things at once, each where it belongs."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field
from torch import Tensor

from sfumato.diffusion.attention import MapStore, Plan, map_sites
from sfumato.diffusion.blending import grown
from sfumato.diffusion.branches import Branch, inverted_branch, skipped, step_noise, unconditional
from sfumato.diffusion.concepts import Concept, ConceptGuidance, Masks
from sfumato.diffusion.denoiser import Row, alone
from sfumato.diffusion.inversion import Inversion
from sfumato.diffusion.sampling import carry, descend, shown
from sfumato.diffusion.schedule import Grid
from sfumato.diffusion.solvers import Noise
from sfumato.errors import InputError
from sfumato.hookspecs import hookimpl
from sfumato.method import Ability, Edit, Editor, EditRequest, Need, Progress
from sfumato.models.model import Model
from sfumato.params import Hint, Params


class LeditsParams(Params):
    threshold: Annotated[float, Field(ge=0, le=0.99), Hint("Leave alone", unit="of the picture")] = 0.9
    """How much of the picture a concept may not touch. Lower it for something large."""
    masks: Annotated[Masks, Field(), Hint("Find its place by", advanced=True)] = "both"
    """Where its words attend, where it would change the noise, where both agree, or everywhere."""
    hold: Annotated[bool, Field(), Hint("Keep all else exactly")] = True
    """Change no pixel where no concept found its place. Your own mask, if there is one, decides instead."""
    begin: Annotated[float, Field(ge=0, le=1), Hint("Begin after", unit="share of steps", advanced=True)] = 0
    """Leave the first steps to the picture, so that its layout stays."""
    stop: Annotated[float, Field(ge=0, le=1), Hint("Stop after", unit="share of steps", advanced=True)] = 1
    """Leave the last steps to the picture, so that its texture stays."""
    as_inverted: Annotated[bool, Field(), Hint("Go by the source prompt", advanced=True)] = True
    """Come back under the words and the guidance of the inversion, which needs one more row when there are
    words; else under no words at all, as published."""


class Ledits(Editor[LeditsParams]):
    """Brack et al.: LEDITS++, 2024. ε = ε_0 + Σ_c s_c M_c ⊙ (ε_c - ε_∅), s_c = guidance x strength.

    ε_0 is what the inversion itself would do next, so that strength 0 is the picture; as published it is ε_∅,
    which is the same for an inversion without words. One row for ε_∅ and one per concept.
    """

    name = "ledits"
    title = "LEDITS++"
    summary = "Adds and takes away several things at once and finds the place of each; describe nothing else."
    paper = "https://arxiv.org/abs/2311.16711"
    params = LeditsParams
    needs = frozenset({Need.IMAGE, Need.CONCEPTS})
    abilities = frozenset({Ability.PROMPTS, Ability.ATTENTION})
    uses = frozenset({"trajectory", "context", "noise", "pin"})

    def guidance_to_invert(self, request: EditRequest[LeditsParams]) -> float:
        """1: the request's guidance is what concepts are multiplied by, the source itself has none."""
        return 1.0

    def edit(
        self, request: EditRequest[LeditsParams], inversion: Inversion | None, model: Model
    ) -> Generator[Progress, None, Edit]:
        assert inversion is not None
        grid, concepts = inversion.grid, _concepts(model, request)
        guidance = ConceptGuidance(
            concepts,
            MapStore(map_sites(model.sites, request.latent_shape), request.latent_shape),
            request.params.masks,
            request.params.threshold,
            _acting(request, grid),
            request.latent_mask,
        )
        source = _source(model, request, inversion)
        # Not the inversion's own empty prompt: that one is bent towards the source.
        uncond = Row("tgt.u", model.text(request.negative))
        # Both branches draw the same noise, if any, each from a source of its own.
        edit = _edit(source, guidance, uncond, grid, step_noise(request, source.latent))
        carried = inversion.pin and inversion.noise is None
        branches = [source, edit] if carried else [edit]
        states = descend(model, request, inversion, branches, Plan((guidance.hook(),)))
        settle = (lambda state: carry(state, inversion)) if carried else None
        last = yield from shown(states, "tgt", grid, settle)
        return Edit(latents=last.latents["tgt"], mask=_held(request, guidance))


def _concepts(model: Model, request: EditRequest[LeditsParams]) -> list[Concept]:
    """One row for each that has any strength. Raises `InputError` for one without words."""
    found = []
    for k, (words, strength) in enumerate(request.concepts):
        text = model.text(words)
        tokens = tuple(range(1, len(text.ids) - 1))
        if not tokens:
            raise InputError("Something to add or to take away has no name.", advice="Name it, or remove it.")
        if strength:
            found.append(Concept(Row(f"tgt.{k}", text), tokens, request.guidance * strength))
    return found


def _source(model: Model, request: EditRequest[LeditsParams], inversion: Inversion) -> Branch:
    """What the inversion itself would do: ε_0 at its own latent."""
    own = replace(request, guidance=inversion.guidance)
    source = replace(inverted_branch(model, own, inversion, "src", inversion.prompt), correct=None)
    if request.params.as_inverted and inversion.prompt.strip():
        return source
    uncond = Row("src.u", unconditional(model, request, inversion))
    return replace(source, rows=(uncond,), combine=alone(uncond.name))


def _edit(source: Branch, guidance: ConceptGuidance, uncond: Row, grid: Grid, noise: Noise) -> Branch:
    """The same at the edit's latent, with what the concepts add."""
    same = {row.name: replace(row, name=row.name.replace("src", "tgt")) for row in source.rows}
    rows = {row.name: row for row in (uncond, *same.values(), *(each.row for each in guidance.concepts))}

    def combine(eps: Mapping[str, Tensor], i: int) -> Tensor:
        base = source.combine({name: eps[row.name] for name, row in same.items()}, i)
        return base + guidance(eps, uncond.name, i, grid.levels[i])

    return replace(source, name="tgt", rows=tuple(rows.values()), combine=combine, noise=noise)


def _acting(request: EditRequest[LeditsParams], grid: Grid) -> range:
    """The steps in which concepts act."""
    p, steps = request.params, range(skipped(request.start, grid), grid.steps)
    return steps[int(p.begin * len(steps)) : round(p.stop * len(steps))]


def _held(request: EditRequest[LeditsParams], guidance: ConceptGuidance) -> Tensor | None:
    """Where the picture may change; a cell more than where a concept acted, so that no edge is cut."""
    if not request.params.hold or request.latent_mask is not None or guidance.area is None:
        return None
    return grown(guidance.area.float(), 1)


@hookimpl
def register_editors() -> Sequence[Editor[Any]]:
    return [Ledits()]
