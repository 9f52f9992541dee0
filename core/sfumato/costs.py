"""What each pairing may cost in row evaluations, and runs that show what it does cost.

The bounds are those of the method survey's cost table: one target prompt, guidance above 1, default
parameters, S steps. A method that is not in the table is listed without a bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from sfumato.document.resampling import resize
from sfumato.errors import InputError, ModelError
from sfumato.events import Cost, Outcome
from sfumato.method import Job, MethodInfo, Need, Pixels, Recipe
from sfumato.pairing import PairingError
from sfumato.plugins import Registry
from sfumato.workshop import Workshop


@dataclass(frozen=True)
class Bound:
    """Rows for S steps, and where the number comes from."""

    section: str
    forward: Callable[[int], float]
    backward: Callable[[int], float] = lambda S: 0
    control: Callable[[int], float] = lambda S: 0
    pinned: Callable[[int], float] | None = None
    """Forward rows where the source is pinned, which spares its unconditional row."""

    def of(self, steps: int, *, pinned: bool = False) -> Cost:
        forward = self.pinned if pinned and self.pinned is not None else self.forward
        return Cost(int(forward(steps)), int(self.backward(steps)), int(self.control(steps)))


INVERTERS: Mapping[str, Bound] = {
    "naive": Bound("§2", lambda S: 0),
    "ddim": Bound("§3, §21", lambda S: S),
    "direct": Bound("§7, §21: ours", lambda S: S),
    "negative_prompt": Bound("§5, §21", lambda S: S),
    "null_text": Bound("§6, §21: 700 E + 500 G", lambda S: 14 * S, lambda S: 10 * S),
    "edit_friendly": Bound("§10, §21: 100", lambda S: 2 * S),
    "style": Bound("§15, §21: 1271 E + 1071 G", lambda S: 1271 * S / 50, lambda S: 1071 * S / 50),
    "fixed_point": Bound("§19.3: K + 1 per step, K = 3", lambda S: 4 * S),
}
EDITORS: Mapping[str, Bound] = {
    "generate": Bound("§1: 2 S", lambda S: 2 * S),
    "ddim_naive": Bound("§2, §21: 60 at strength 0.6", lambda S: 2 * int(0.6 * S)),
    "reprompt": Bound("§3, §21", lambda S: 2 * S),
    "p2p": Bound("§4, §21: 200; pinned 150", lambda S: 4 * S, pinned=lambda S: 3 * S),
    "blended": Bound("§11, §21: 76", lambda S: 2 * (S - int(0.25 * S))),
    "masactrl": Bound("§12, §21", lambda S: 4 * S),
    "plug_and_play": Bound("§19, §21", lambda S: 3 * S),
    "pix2pix_zero": Bound("§8, §21: 200 E + 100 G, + 100 E", lambda S: 6 * S, lambda S: 2 * S),
    "h_edit": Bound("§19.2: 6 per step, one more in P2P's window", lambda S: 6 * S + int(0.4 * (S + 1))),
    "ledits": Bound("§19.1: 1 + n per step, n = 1; 2 more for the inversion's own words", lambda S: 4 * S),
    "instruct_pix2pix": Bound("§13, §21", lambda S: 3 * S),
    "instruct_diffusion": Bound("§14, §21", lambda S: 3 * S),
    "controlnet": Bound("§16, §21", lambda S: 2 * S, control=lambda S: 2 * S),
}
NOTHING = Cost()
PINNED = frozenset({"direct"})


@dataclass(frozen=True)
class Line:
    """A pairing: what it cost, and what it may."""

    inverter: str
    """Empty for editors that need no inversion."""
    editor: str
    steps: int
    inversion: Cost = NOTHING
    edit: Cost = NOTHING
    second: Cost = NOTHING
    """The inversion of a second edit of the same picture."""
    refusal: str = ""
    """Why it cannot be run on this model; nothing was."""

    @property
    def bound(self) -> tuple[Cost | None, Cost | None]:
        """(inversion, edit) at these steps; None for what the table does not know."""
        return self.bound_at(self.steps)

    def bound_at(self, steps: int) -> tuple[Cost | None, Cost | None]:
        inverter, editor = INVERTERS.get(self.inverter), EDITORS.get(self.editor)
        return (
            NOTHING if not self.inverter else inverter and inverter.of(steps),
            editor and editor.of(steps, pinned=self.inverter in PINNED),
        )

    @property
    def holds(self) -> bool:
        """Whether it stays within what bounds there are, and a second edit inverts nothing."""
        pairs = zip((self.inversion, self.edit), self.bound, strict=True)
        return self.second == NOTHING and all(bound is None or within(cost, bound) for cost, bound in pairs)


def within(cost: Cost, bound: Cost) -> bool:
    """Whether no kind of row is above its bound."""
    return cost.forward <= bound.forward and cost.backward <= bound.backward and cost.control <= bound.control


Run = Callable[[Job, Workshop], Outcome]


def measured(workshop: Workshop, model: str, steps: int, run: Run) -> Iterator[Line]:
    """Edit a picture with every pairing there is, from an empty store each time; the store is emptied.

    Pairings that the model cannot do, for want of an ability or of a further network, are lines that say so.
    """
    picture = sample_picture(workshop.describe(model).size)
    for inverter, editor in pairings(workshop.registry):
        recipe = recipe_for(workshop.registry, inverter, editor).model_copy(
            update={"model": model, "steps": steps}
        )
        job, name = job_for(editor, recipe, picture), "" if inverter is None else inverter.name
        workshop.store.clear()
        try:
            first = run(job, workshop)
        except (PairingError, ModelError, InputError) as error:
            yield Line(name, editor.name, steps, refusal=str(error))
            continue
        again = NOTHING
        if inverter is not None:
            again = run(replace(job, id=f"{job.id}-again"), workshop).costs["inversion"]
        yield Line(name, editor.name, steps, first.costs["inversion"], first.costs["edit"], again)


def pairings(registry: Registry) -> Iterator[tuple[MethodInfo | None, MethodInfo]]:
    """Every editor with every inverter it takes; None for those that take none."""
    infos = registry.infos.values()
    for editor in (info for info in infos if info.kind == "editor"):
        if editor.inversion != "required":
            yield None, editor
        if editor.inversion != "none":
            yield from ((info, editor) for info in infos if info.kind == "inverter")


def recipe_for(registry: Registry, inverter: MethodInfo | None, editor: MethodInfo) -> Recipe:
    """Default parameters, but for measurements of the reconstruction: they belong to no edit."""
    measures = inverter is not None and any(control.name == "measure" for control in inverter.controls)
    return Recipe(
        source="a red house on the grass",
        target="a blue house on the grass",
        instruction="make the house blue",
        concepts=(("blue", 1.0),),
        editor=editor.name,
        inverter="" if inverter is None else inverter.name,
        inverter_values={"measure": False} if measures else {},
        guidance=5.0,
    )


def job_for(editor: MethodInfo, recipe: Recipe, picture: Pixels) -> Job:
    """With a mask and a control picture where the editor needs them."""
    mask = None
    if Need.MASK in editor.needs:
        mask = np.zeros(picture.shape[:2], np.uint8)
        quarter = len(mask) // 4
        mask[quarter : 3 * quarter, quarter : 3 * quarter] = 255
    controls = {"control": picture} if Need.CONTROL_IMAGE in editor.needs else {}
    return Job(recipe=recipe, image=picture, mask=mask, control_images=controls)


def sample_picture(side: int) -> Pixels:
    """Soft colours: what is counted and timed does not depend on what a picture shows."""
    coarse = np.random.default_rng(0).random((4, 4, 4))
    smooth = resize(coarse, (side, side), smooth=False)
    pixels = np.rint(smooth * 255).astype(np.uint8)
    pixels[..., 3] = 255
    return pixels
