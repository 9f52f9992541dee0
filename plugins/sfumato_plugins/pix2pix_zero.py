"""Pix2Pix-Zero: move what the picture is about in a direction, while it keeps looking where it looked."""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from sfumato.diffusion.branches import Branch, inverted_branch
from sfumato.diffusion.guidance import AttentionGuidance
from sfumato.diffusion.inversion import Inversion
from sfumato.diffusion.sampling import StepState, carry, descend, shown
from sfumato.diffusion.text import Text
from sfumato.errors import InputError
from sfumato.hookspecs import hookimpl
from sfumato.method import Ability, Edit, Editor, EditRequest, Need, Progress
from sfumato.models.model import Model
from sfumato.params import Hint, Params
from sfumato.prompts import changed_things

_EVERYDAY = ("{}", "a {}", "the {}", "a photo of a {}", "a picture of the {}", "a small {}", "a large {}")


class Pix2PixZeroParams(Params):
    amount: Annotated[float, Field(ge=0, le=2), Hint("Keep the layout", step=0.01)] = 0.02
    """How firmly the new words are made to look where the old ones looked: 0 lets the layout go, too much
    tears the picture. Published for Stable Diffusion 1 is 0.1, for models that predict velocity 0.01 at
    most; the fewer and smaller a model's maps, the more it takes (their differences are summed)."""
    strength: Annotated[float, Field(ge=0, le=3), Hint("Strength", unit="of the direction")] = 1.0
    """How far to move in the direction of the edit."""
    direction: Annotated[Literal["prompts", "words", "sentences"], Field(), Hint("Direction from")] = (
        "prompts"
    )
    """From the source prompt to the target prompt, between the changed words in everyday sentences, or
    between the sentences below."""
    source_sentences: Annotated[str, Field(max_length=20000), Hint("Source sentences", advanced=True)] = ""
    """For 'sentences': what there is, said in several ways, separated by ';' or line breaks."""
    target_sentences: Annotated[str, Field(max_length=20000), Hint("Target sentences", advanced=True)] = ""
    """For 'sentences': what there should be, said in several ways, separated by ';' or line breaks."""
    away_from: Annotated[
        Literal["source prompt", "negative prompt"], Field(), Hint("Steer away from", advanced=True)
    ] = "negative prompt"
    """What guidance leads away from. Published is the source prompt, which exaggerates colours."""
    carried: Annotated[
        Literal["unconditional half", "conditional half", "both"], Field(), Hint("Correct by", advanced=True)
    ] = "unconditional half"
    """Which half of guidance says how the picture is corrected. Published is the one that sees the source
    prompt, while the other looks at a correction of its own."""
    add_source: Annotated[bool, Field(), Hint("Add the source's drift", advanced=True)] = False
    """With direct inversion: give the edit the correction its source needs at each step, as published."""


class Pix2PixZero(Editor[Pix2PixZeroParams]):
    """Parmar et al.: Zero-shot Image-to-Image Translation, 2023, sections 3.1 and 3.3, algorithm 1.

    Rows: src.u, src.c for the reference's maps; tgt.u, tgt.c once for the gradient and once for the step, in
    the context [caption, caption + Δc]. The reference walks beside the edit instead of being kept.
    """

    name = "pix2pix_zero"
    title = "Pix2Pix-Zero"
    summary = "Turns one kind of thing into another, such as a cat into a dog, and holds on to the layout."
    paper = "https://arxiv.org/abs/2302.03027"
    params = Pix2PixZeroParams
    needs = frozenset({Need.IMAGE, Need.SOURCE_PROMPT, Need.TARGET_PROMPT})
    abilities = frozenset({Ability.PROMPTS, Ability.ATTENTION})
    uses = frozenset({"trajectory", "context", "noise", "pin"})

    def edit(
        self, request: EditRequest[Pix2PixZeroParams], inversion: Inversion | None, model: Model
    ) -> Generator[Progress, None, Edit]:
        assert inversion is not None
        p, grid = request.params, inversion.grid
        if p.away_from == "source prompt":
            request = replace(request, negative=request.source)
        drifts = p.add_source and inversion.pin
        source = inverted_branch(model, request, inversion, "src", request.source)
        source = replace(source, pin=inversion.trajectory if inversion.pin and not drifts else None)
        target = moved(inverted_branch(model, request, inversion, "tgt", request.source), request, model)
        guide = AttentionGuidance(model, grid, p.amount, carried=p.carried, reference=source, target=target)
        reference = descend(model, request, inversion, [source], guide.watching)
        ahead: list[StepState] = []

        def before(state: StepState) -> None:
            if p.amount or drifts:
                ahead[:] = [next(reference)]
            if p.amount:
                state.latents["tgt"] = guide.corrected(state.latents["tgt"], state.i + 1, self.title)

        def after(state: StepState) -> None:
            if drifts:
                state.latents["src"] = ahead[0].latents["src"]
                carry(state, inversion)
                ahead[0].latents["src"] = state.latents["src"]

        states = descend(model, request, inversion, [guide.target], guide.stepping, before)
        last = yield from shown(states, "tgt", grid, after)
        return Edit(latents=last.latents["tgt"], source=ahead[0].latents["src"] if ahead else None)


def moved(branch: Branch, request: EditRequest[Pix2PixZeroParams], model: Model) -> Branch:
    """A branch under caption + strength · Δc in place of the caption."""
    sources, targets = ([model.text(each) for each in bank] for bank in banks(request))
    caption, strength = model.text(request.source), request.params.strength
    text = replace(caption, embeddings=caption.embeddings + strength * edit_direction(sources, targets))
    if caption.pooled is not None:
        text = replace(text, pooled=caption.pooled + strength * edit_direction(sources, targets, pooled=True))
    return replace(branch, rows=(*branch.rows[:-1], replace(branch.rows[-1], text=text)))


def edit_direction(sources: Sequence[Text], targets: Sequence[Text], *, pooled: bool = False) -> Tensor:
    """Δc: the targets' mean embedding minus the sources', (1, L, D), or of their pooled texts, (1, D')."""

    def mean(texts: Sequence[Text]) -> Tensor:
        found = [text.pooled if pooled else text.embeddings for text in texts]
        return torch.cat([each for each in found if each is not None]).mean(0, keepdim=True)

    return mean(targets) - mean(sources)


def banks(request: EditRequest[Pix2PixZeroParams]) -> tuple[Sequence[str], Sequence[str]]:
    """(source sentences, target sentences). Raises `InputError` where there are none."""
    p = request.params
    if p.direction == "sentences":
        source, target = (_split(each) for each in (p.source_sentences, p.target_sentences))
        missing, advice = (
            "sentences of what there is and of what there should be",
            "Write at least one of each.",
        )
    elif p.direction == "words":
        things = changed_things(request.source, request.target)
        source, target = ([each.format(" ".join(words)) for each in _EVERYDAY if words] for words in things)
        missing, advice = "a word that another takes the place of", "Choose the direction from the prompts."
    else:
        return [request.source], [request.target]
    if not (source and target):
        raise InputError(f"The direction of this edit needs {missing}.", advice=advice)
    return source, target


def _split(bank: str) -> list[str]:
    return [sentence.strip() for sentence in re.split(r"[;\n]", bank) if sentence.strip()]


@hookimpl
def register_editors() -> Sequence[Editor[Any]]:
    return [Pix2PixZero()]
