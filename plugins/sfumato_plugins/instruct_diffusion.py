"""InstructDiffusion: instructions that change a picture, and instructions that mark something in it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from re import fullmatch
from typing import Annotated, Any, Literal

from pydantic import Field
from torch import Tensor

from sfumato.diffusion.instructions import Formula, Instruction, InstructionParams, follow
from sfumato.diffusion.inversion import Inversion
from sfumato.hookspecs import hookimpl
from sfumato.method import Ability, Edit, Editor, EditRequest, Need, Progress
from sfumato.models.model import Model
from sfumato.params import Hint

_SENTENCES = {
    "as written": "{words}",
    "mark the pixels of": "mark the pixels of {words} to {colour} and leave the rest unchanged",
    "circle": "draw a {colour} circle around {words}",
    "watermark": "remove the watermark from {words}",
    "noise": "remove the noise from {words}",
    "blur": "make {words} sharper",
}


_RESTORING = ("watermark", "noise", "blur")
_UNTOLD = "Nothing of the picture's own fine detail was put back, for that is where the blemish was."


class InstructDiffusionParams(InstructionParams):
    task: Annotated[
        Literal["as written", "mark the pixels of", "circle", "watermark", "noise", "blur"],
        Field(),
        Hint("Task"),
    ] = "as written"
    """Follow the instruction as it stands; or take it as the name of something ("the dog") that is to be
    painted over in one colour, circled, or freed of a watermark, of noise or of blur."""
    colour: Annotated[Literal["red", "green", "blue", "yellow", "white"], Field(), Hint("Mark in")] = "blue"
    """The colour to mark with."""
    picture_guidance: Annotated[float, Field(ge=0, le=10), Hint("Keep the picture", step=0.05)] = 1.25
    """How strongly the picture leads. Raise it if too much changes, lower it if nothing does."""

    def sentence(self, words: str) -> str:
        """The instruction the network reads."""
        return _SENTENCES[self.task].format(words=words.strip(), colour=self.colour)

    def restores(self, words: str) -> bool:
        """Whether the instruction frees the picture of something that is in its fine detail."""
        said = self.sentence(words).lower()
        return any(fullmatch(_SENTENCES[task].format(words=".+"), said) for task in _RESTORING)


def formula(s_T: float, s_I: float) -> Formula:
    """ε = ½ (ε(I,∅) + ε(∅,T)) + s_T (ε(I,T) - ε(I,∅)) + s_I (ε(I,T) - ε(∅,T)), as in the published code."""

    def combined(both: Tensor, seen: Tensor, blind: Tensor) -> Tensor:
        return 0.5 * (seen + blind) + s_T * (both - seen) + s_I * (both - blind)

    return combined


class InstructDiffusion(Editor[InstructDiffusionParams]):
    """Geng et al.: InstructDiffusion, 2023. InstructPix2Pix's network; rows (I, T), (I, ∅), (0, T).

    The rows' weights add up to 1 whatever s_T and s_I; ε is ε(I,T) at ½, ½ and not at 1, 1.
    """

    name = "instruct_diffusion"
    title = "InstructDiffusion"
    summary = "Does what you tell it to, and can mark or clean up what you name; needs its own model."
    paper = "https://arxiv.org/abs/2309.03895"
    version = 2
    params = InstructDiffusionParams
    needs = frozenset({Need.IMAGE, Need.INSTRUCTION})
    abilities = frozenset({Ability.INSTRUCTIONS})
    inversion = "none"

    def edit(
        self, request: EditRequest[InstructDiffusionParams], inversion: Inversion | None, model: Model
    ) -> Generator[Progress, None, Edit]:
        assert request.image is not None
        p, picture = request.params, model.image_channels(request.image)
        sentence = p.sentence(request.instruction)
        text = model.text(sentence)
        told = Instruction(picture, text, empty=model.text(request.negative), blind=text)
        latents = yield from follow(model, request, told, formula(request.guidance, p.picture_guidance))
        told_so = () if p.task == "as written" else (f"The model was told: {sentence}.",)
        restores = p.restores(request.instruction)
        notes = (*told_so, _UNTOLD) if restores else told_so
        return Edit(latents=latents, keeps_detail=not restores, notes=notes)


@hookimpl
def register_editors() -> Sequence[Editor[Any]]:
    return [InstructDiffusion()]
