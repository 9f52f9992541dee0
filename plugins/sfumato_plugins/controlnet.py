"""ControlNet: new words under the lines, edges or areas of a control image."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from sfumato.diffusion.branches import Branch, candidates, inverted_branch, skipped
from sfumato.diffusion.control import Steering, open_steps, steered
from sfumato.diffusion.inversion import Inversion
from sfumato.diffusion.sampling import kept_outside, sample, shown
from sfumato.diffusion.schedule import Grid
from sfumato.hookspecs import hookimpl
from sfumato.method import Ability, Edit, Editor, EditRequest, Need, Progress
from sfumato.models.model import Model
from sfumato.pairing import PairingError
from sfumato.params import Hint, Params


class ControlNetParams(Params):
    network: Annotated[str, Field(), Hint("ControlNet", suggests="networks")] = ""
    """The ControlNet to follow: a name from the list of models, or a diffusers folder."""
    scale: Annotated[float, Field(ge=0, le=2), Hint("Control")] = 1.0
    """How strictly the control image is followed; 0 ignores it. For photos 0.5 to 0.8 looks less traced."""
    strength: Annotated[float, Field(ge=0, le=1), Hint("Strength", unit="share of noise")] = 1.0
    """How much of the picture is given up; 1 starts from noise, or from the whole of an inversion."""
    start: Annotated[float, Field(ge=0, le=1), Hint("Follow from", unit="share of steps")] = 0.0
    """Before this share of the steps the control image is not looked at."""
    end: Annotated[float, Field(ge=0, le=1), Hint("Follow until", unit="share of steps")] = 1.0
    """From this share of the steps on the words alone decide, which frees the fine detail."""
    guess: Annotated[bool, Field(), Hint("Guess mode", advanced=True)] = False
    """Let the control image lead with few words: only the rows with the prompt see it. Guidance 3 to 5."""
    second_network: Annotated[str, Field(), Hint("Second ControlNet", advanced=True, suggests="networks")] = (
        ""
    )
    """One more ControlNet; it looks at the control image named "second" if there is one, else at the same."""
    second_scale: Annotated[float, Field(ge=0, le=2), Hint("Second control", advanced=True)] = 1.0
    """How strictly the second one is followed."""


class ControlNetEdit(Editor[ControlNetParams]):
    """ε_θ(x_t, t, c) with a ControlNet's residuals on the skips (Zhang et al. 2023, section 3).

    From noise, from the noised picture (SDEdit), or from an inversion, held to the picture outside a mask.
    Shares of steps are of the whole grid, wherever sampling starts.
    """

    name = "controlnet"
    title = "ControlNet"
    summary = "Paints new words over the shapes of your picture: its edges, a scribble, areas of colour."
    paper = "https://arxiv.org/abs/2302.05543"
    params = ControlNetParams
    needs = frozenset({Need.TARGET_PROMPT, Need.CONTROL_IMAGE})
    abilities = frozenset({Ability.PROMPTS})
    inversion = "optional"
    uses = frozenset({"trajectory", "context", "noise"})

    def networks(self, params: ControlNetParams) -> tuple[str, ...]:
        if not params.network.strip():
            raise PairingError(
                f"{self.title} needs a ControlNet: name one, or its folder, as 'network'.",
                advice="One is made for one family of models and one kind of control image.",
            )
        second = params.second_network.strip()
        return params.network.strip(), *((second,) if second else ())

    def edit(
        self, request: EditRequest[ControlNetParams], inversion: Inversion | None, model: Model
    ) -> Generator[Progress, None, Edit]:
        p = request.params
        grid = model.grid(request) if inversion is None else inversion.grid
        x0, start = request.x0, 0
        if x0 is not None:
            start = max(skipped(request.start, grid), grid.steps - int(p.strength * grid.steps))
        if x0 is not None and start == grid.steps:
            return Edit(
                latents=x0, notes=("At this strength not one step is run: the picture is as it was.",)
            )
        controls = _controls(request, grid.steps)
        only = any(each.guess for each in controls)
        branches = [
            steered(each, controls, conditional_only=only)
            for each in _branches(request, inversion, model, grid, start)
        ]
        states = sample(
            model,
            branches,
            grid,
            start=start,
            solver_name=request.solver,
            eta=request.eta,
            noise_maps=None if inversion is None else inversion.noise,
            passed=None if inversion is None else inversion.x0hat,
            keep=kept_outside(model, request, grid, None if inversion is None else inversion.trajectory),
        )
        last = yield from shown(states, branches[0].name, grid)
        return Edit(latents=last.stacked(branches))


def _controls(request: EditRequest[ControlNetParams], steps: int) -> tuple[Steering, ...]:
    """One per ControlNet, over its control image in [0, 1]."""
    p, images = request.params, request.control_images
    first = images.get("control", next(iter(images.values())))
    shown_to = first, images.get("second", first)
    scales = p.scale, p.second_scale
    window = open_steps(p.start, p.end, steps)
    return tuple(
        Steering(net, image / 2 + 0.5, scale, window, p.guess or net.pools)
        for net, image, scale in zip(request.networks, shown_to, scales, strict=False)
    )


def _branches(
    request: EditRequest[ControlNetParams], inversion: Inversion | None, model: Model, grid: Grid, start: int
) -> list[Branch]:
    """From an inversion, from noise, or from the noised picture."""
    if inversion is not None:
        inverted = inverted_branch(model, request, inversion, "tgt", request.target)
        return [replace(inverted, latent=inversion.at(start))]
    x0 = request.x0
    if start == 0 or x0 is None:
        return candidates(model, request, lambda eps: eps)
    return candidates(model, request, lambda eps: model.schedule.noised(x0, eps, grid.levels[start]))


@hookimpl
def register_editors() -> Sequence[Editor[Any]]:
    return [ControlNetEdit()]
