"""LEDITS++: add and take away several things at once, each where it belongs."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field
from torch import Tensor

from sfumato.diffusion.attention import MapStore, Plan, map_sites
from sfumato.diffusion.blending import grown
from sfumato.diffusion.concepts import Concept, ConceptGuidance, Masks
from sfumato.diffusion.denoiser import Combine, Row, alone, guided
from sfumato.diffusion.inversion import Inversion
from sfumato.diffusion.sampling import (
    Branch,
    carry,
    fresh_noise,
    kept_outside,
    sample,
    shown,
    skipped,
    unconditional,
)
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

    def edit(
        self, request: EditRequest[LeditsParams], inversion: Inversion | None, model: Model
    ) -> Generator[Progress, None, Edit]:
        assert inversion is not None
        grid, start = inversion.grid, skipped(request.start, inversion.grid)
        concepts = _concepts(model, request)
        guidance = ConceptGuidance(
            concepts,
            MapStore(map_sites(model.sites, request.latent_shape), request.latent_shape),
            request.params.masks,
            request.params.threshold,
            _between(request.params, range(start, grid.steps)),
            request.latent_mask,
        )
        rows, base = _base(model, request, inversion, "tgt")

        def combine(eps: Mapping[str, Tensor], i: int) -> Tensor:
            return base(eps, i) + guidance(eps, "tgt.u", i, grid.levels[i])

        noise = fresh_noise(request.seed, request.latent_shape, model.device)
        rows = (*rows, *(concept.row for concept in concepts))
        branches = [Branch("tgt", inversion.at(start), rows, combine, noise)]
        carried = inversion.pin and inversion.noise is None
        if carried:
            noise = fresh_noise(request.seed, request.latent_shape, model.device)
            branches.insert(
                0, Branch("src", inversion.at(start), *_base(model, request, inversion, "src"), noise)
            )
        states = sample(
            model,
            branches,
            grid,
            start=start,
            plan=Plan((guidance.hook(),)),
            solver_name=request.solver,
            eta=request.eta,
            noise_maps=inversion.noise,
            keep=kept_outside(model, request, grid, inversion.trajectory),
        )
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


def _base(
    model: Model, request: EditRequest[LeditsParams], inversion: Inversion, name: str
) -> tuple[tuple[Row, ...], Combine]:
    """ε_0 and the rows it is made of; the first is ε_∅."""
    uncond = Row(f"{name}.u", unconditional(model, request, inversion))
    if not (request.params.as_inverted and inversion.prompt.strip()):
        return (uncond,), alone(uncond.name)
    cond = Row(f"{name}.c", model.text(inversion.prompt))
    return (uncond, cond), guided(uncond.name, cond.name, inversion.guidance)


def _between(p: LeditsParams, steps: range) -> range:
    """The steps in which concepts act."""
    return steps[int(p.begin * len(steps)) : round(p.stop * len(steps))]


def _held(request: EditRequest[LeditsParams], guidance: ConceptGuidance) -> Tensor | None:
    """Where the picture may change; a cell more than where a concept acted, so that no edge is cut."""
    if not request.params.hold or request.latent_mask is not None or guidance.area is None:
        return None
    return grown(guidance.area.float(), 1)


@hookimpl
def register_editors() -> Sequence[Editor[Any]]:
    return [Ledits()]
