"""h-Edit: bring the picture back, and at every step add what sets the new words apart from the old."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field
from torch import Tensor

from sfumato.diffusion.attention import Plan
from sfumato.diffusion.branches import Branch, inverted_branch, skipped, step_noise, unconditional
from sfumato.diffusion.denoiser import Row, guided
from sfumato.diffusion.inversion import Inversion
from sfumato.diffusion.prompt_control import Windows, cross_edit, prompt_hooks
from sfumato.diffusion.sampling import StepState, carry, descend, kept_outside, shown
from sfumato.diffusion.solvers import solver
from sfumato.diffusion.text import equalizer
from sfumato.hookspecs import hookimpl
from sfumato.method import Ability, Edit, Editor, EditRequest, Need, Progress
from sfumato.models.model import Model
from sfumato.params import Hint, Params


class HEditParams(Params):
    away: Annotated[
        float, Field(ge=0, le=2), Hint("Away from the old words", unit="times guidance", step=0.1)
    ] = 1.0
    """How strongly the edit leaves what the source prompt says. As much as the guidance is the purest change
    and costs a row less; lower lets the new words add more of their own, higher scrambles the picture."""
    form: Annotated[Literal["implicit", "explicit"], Field(), Hint("Look")] = "implicit"
    """Ask for the difference where a step arrives (can be repeated) or where it starts (cheaper)."""
    iterations: Annotated[int, Field(ge=1, le=5), Hint("Repeat", unit="times")] = 1
    """How often each step is pushed on, for changes that do not come about; for 'implicit' only."""
    restore: Annotated[float, Field(ge=0, le=1), Hint("Pull back when repeating", advanced=True)] = 0.1
    """How much every repetition is drawn back to the picture, as a share of what it pushes."""
    cross_steps: Annotated[float, Field(ge=0, le=1), Hint("Keep the layout", unit="share of steps")] = 0.4
    """How long the new words attend where the old ones do. Shorter allows larger changes of shape."""
    self_steps: Annotated[float, Field(ge=0, le=1), Hint("Keep the shapes", unit="share of steps")] = 0.35
    """How long the picture's own structure is taken from the source. Shorter allows new outlines."""
    self_limit: Annotated[
        int, Field(ge=1, le=128), Hint("Shapes up to", unit="tokens a side", advanced=True)
    ] = 32
    """Largest attention map whose structure is taken from the source."""


class HEdit(Editor[HEditParams]):
    """Nguyen et al.: h-Edit, 2025. x_{t-1} = x_{t-1}^base + κ_t f, f = ε_tgt^w - ε_src^ŵ (eq. 22 to 25).

    κ_t is ∂x_{t-1}/∂ε, so the explicit form is a step under ε_src + f. x^base is the inversion's own next
    step from the edited latent, by its noise maps or by what its trajectory strays from its own steps.
    """

    name = "h_edit"
    title = "h-Edit"
    summary = "Brings the picture back and adds only what sets the new description apart from the old one."
    paper = "https://arxiv.org/abs/2503.02187"
    params = HEditParams
    needs = frozenset({Need.IMAGE, Need.SOURCE_PROMPT, Need.TARGET_PROMPT})
    abilities = frozenset({Ability.PROMPTS, Ability.ATTENTION})
    uses = frozenset({"trajectory", "context", "noise"})

    def edit(
        self, request: EditRequest[HEditParams], inversion: Inversion | None, model: Model
    ) -> Generator[Progress, None, Edit]:
        assert inversion is not None
        difference = Difference(request, inversion, model)
        explicit = request.params.form == "explicit"
        plan = difference.plan if explicit else None
        states = descend(model, request, inversion, difference.branches(explicit), plan)

        def settle(state: StepState) -> None:
            if inversion.noise is None:
                carry(state, inversion)
            if not explicit:
                state.latents["tgt"] = difference.added(state.latents["tgt"], state.i)
            difference.plan.check_acted(self.title, state.i)

        last = yield from shown(states, "tgt", inversion.grid, settle)
        return Edit(latents=last.latents["tgt"])


class Difference:
    """f = ε_tgt^w - ε_src^ŵ at the edited latent, and the branches it is added to.

    Rows: tgt.s reads the source prompt, tgt.c the target's, tgt.u neither; src.c is the picture on its
    trajectory, for Prompt-to-Prompt's hold on tgt.c.
    """

    def __init__(self, request: EditRequest[HEditParams], inversion: Inversion, model: Model) -> None:
        self.request, self.inversion, self.model = request, inversion, model
        own = replace(request, guidance=inversion.guidance)
        source = inverted_branch(model, own, inversion, "src", request.source)
        self.source = replace(source, correct=None)
        led_away = unconditional(model, request, None if inversion.single_branch else inversion)
        self.u = Row("tgt.u", led_away if len(self.source.rows) == 1 else self.source.rows[0].text)
        self.s = replace(self.source.rows[-1], name="tgt.s")
        self.c = Row("tgt.c", model.text(request.target))
        self.plan = self._plan()
        self.keep = kept_outside(model, request, inversion.grid, inversion.trajectory)

    @property
    def rows(self) -> tuple[Row, ...]:
        """With equal guidances ε_∅ falls out of the difference."""
        return (self.s, self.c) if self.request.params.away == 1 else (self.u, self.s, self.c)

    def __call__(self, eps: Mapping[str, Tensor]) -> Tensor:
        """f, (1, C, h, w)"""
        w, away = self.request.guidance, self.request.params.away
        s, c = eps["tgt.s"], eps["tgt.c"]
        if away == 1:
            return w * (c - s)
        return w * (c - eps["tgt.u"]) - away * w * (s - eps["tgt.u"])

    def branches(self, explicit: bool) -> list[Branch]:
        """The source where something reads or needs it, and the edit: f joins in only if it is `explicit`."""
        w, inversion = self.inversion.guidance, self.inversion
        own = (self.s,) if w == 1 else (self.u, self.s)
        rows = tuple(dict.fromkeys((*own, *self.rows))) if explicit else own

        def combine(eps: Mapping[str, Tensor], i: int) -> Tensor:
            base = eps["tgt.s"] if w == 1 else guided("tgt.u", "tgt.s", w)(eps, i)
            return base + self(eps) if explicit else base

        first = skipped(self.request.start, inversion.grid)
        latent = inversion.at(first)
        if first and not explicit:
            latent = self.added(latent, first - 1)
        pin = None if inversion.noise is None else inversion.trajectory
        return [
            replace(self.source, pin=pin),
            Branch("tgt", latent, rows, combine, step_noise(self.request, latent)),
        ]

    def added(self, base: Tensor, i: int) -> Tensor:
        """x ← x + κ f(x) from x^base at levels[i + 1], as often as asked for (equation 25)."""
        grid, p = self.inversion.grid, self.request.params
        gain = solver(self.request.solver, self.model.schedule, grid, self.request.eta).gain(i)
        level, text_step = max(grid.levels[i + 1], 0), min(i + 1, grid.steps - 1)
        x = base
        for k in range(p.iterations):
            seen = {row.name: row.seen(x, text_step) for row in self.rows}
            if "src.c" in self.plan.reads(i):
                seen["src.c"] = self.source.rows[-1].seen(self.inversion.at(i + 1), text_step)
            f = self(self.model.denoiser(seen, level, plan=self.plan, step=i))
            if k:
                # The published pull is the gradient of |x - x^base|, scaled to a share of f's own size.
                x = x - p.restore * f.square().mean().sqrt() * (x - base).sign()
            x = x + gain * f
        return x if self.keep is None else self.keep(x, i + 1, "tgt")

    def _plan(self) -> Plan:
        request, p, model = self.request, self.request.params, self.model
        first, steps = skipped(request.start, self.inversion.grid), self.inversion.grid.steps
        windows = Windows(
            range(first, min(first + int(p.cross_steps * (steps + 1)), steps)),
            range(first, min(first + int(p.self_steps * steps), steps)),
        )
        source, target = model.text(request.source), model.text(request.target)
        act = cross_edit(source, target, equalizer(target, request.word_weights))
        hooks = prompt_hooks(model.sites, request.latent_shape, windows, act, self_limit=p.self_limit)
        return Plan(hooks)


@hookimpl
def register_editors() -> Sequence[Editor[Any]]:
    return [HEdit()]
