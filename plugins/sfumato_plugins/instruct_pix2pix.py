"""InstructPix2Pix: say what to do."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Annotated, Any

from pydantic import Field
from torch import Tensor

from sfumato.diffusion.instructions import Formula, Instruction, InstructionParams, follow
from sfumato.diffusion.inversion import Inversion
from sfumato.hookspecs import hookimpl
from sfumato.method import Ability, Edit, Editor, EditRequest, Need, Progress
from sfumato.models.model import Model
from sfumato.params import Hint


class InstructPix2PixParams(InstructionParams):
    picture_guidance: Annotated[float, Field(ge=0, le=10), Hint("Keep the picture", step=0.1)] = 1.5
    """How strongly the picture leads. Raise it if too much changes, lower it if nothing does."""


def formula(s_T: float, s_I: float) -> Formula:
    """ε = ε(∅,∅) + s_I (ε(I,∅) - ε(∅,∅)) + s_T (ε(I,T) - ε(I,∅)) (equation 3)."""

    def combined(both: Tensor, seen: Tensor, blind: Tensor) -> Tensor:
        return blind + s_I * (seen - blind) + s_T * (both - seen)

    return combined


class InstructPix2Pix(Editor[InstructPix2PixParams]):
    """Brooks, Holynski, Efros: InstructPix2Pix, 2023. Rows: (I, T), (I, ∅), (0, ∅).

    s_T is the guidance, s_I the parameter. As published: solver euler_a, 100 steps, s_T 7.5, "linspace".
    """

    name = "instruct_pix2pix"
    title = "InstructPix2Pix"
    summary = "Does to the picture what you tell it to; needs a model trained for that, and no description."
    paper = "https://arxiv.org/abs/2211.09800"
    params = InstructPix2PixParams
    needs = frozenset({Need.IMAGE, Need.INSTRUCTION})
    abilities = frozenset({Ability.INSTRUCTIONS})
    inversion = "none"

    def edit(
        self, request: EditRequest[InstructPix2PixParams], inversion: Inversion | None, model: Model
    ) -> Generator[Progress, None, Edit]:
        assert request.image is not None
        empty = model.text(request.negative)
        told = Instruction(model.image_channels(request.image), model.text(request.instruction), empty, empty)
        combine = formula(request.guidance, request.params.picture_guidance)
        return Edit(latents=(yield from follow(model, request, told, combine)))


@hookimpl
def register_editors() -> Sequence[Editor[Any]]:
    return [InstructPix2Pix()]
