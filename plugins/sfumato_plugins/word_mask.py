"""A mask from a word: the part of the picture the word looks at."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field
from torch import Tensor

from sfumato.diffusion.areas import between_extremes, on_picture
from sfumato.diffusion.attention import MapStore, map_sites
from sfumato.diffusion.branches import fresh_noise
from sfumato.diffusion.denoiser import Row
from sfumato.diffusion.inversion import invert_ddim
from sfumato.diffusion.text import Text
from sfumato.errors import InputError, MethodError
from sfumato.hookspecs import hookimpl
from sfumato.method import Ability, EditRequest, Masker, Need, Progress
from sfumato.models.model import Model
from sfumato.params import Hint, Params
from sfumato.prompts import changed_things, words


class WordMaskParams(Params):
    word: Annotated[str, Field(max_length=200), Hint("Words")] = ""
    """What to mark: words of the source prompt, separated by blanks. Empty marks what an edit changes."""
    threshold: Annotated[float, Field(ge=0, le=1), Hint("Area threshold")] = 0.3
    """How strongly a spot must attend to the words, relative to the strongest spot; lower marks more."""
    widen: Annotated[int, Field(ge=0, le=8), Hint("Widen by", unit="cells")] = 0
    """Let the area grow by so many cells of the attention map, to leave room for a larger thing."""
    maps_from: Annotated[
        Literal["noised picture", "inversion"], Field(), Hint("Maps from", advanced=True)
    ] = "noised picture"
    """Look at the picture through a little noise a few times, or at every step of a DDIM inversion of it."""
    looks: Annotated[int, Field(ge=1, le=64), Hint("Looks", advanced=True)] = 8
    """How often to look through noise. More is steadier and slower."""
    edges: Annotated[bool, Field(), Hint("Follow the picture's edges", advanced=True)] = True
    """Snap the border of the area to the edges of the picture; off, it stays as coarse as the attention."""


class WordMask(Masker[WordMaskParams]):
    """Cross-attention of the words (Hertz et al. 2022, section 3.1), between its extremes and cut off.

    Without a source prompt the words themselves are the prompt.
    """

    name = "word_mask"
    title = "What a word looks at"
    summary = "Marks the part of the picture a word is about."
    paper = "https://arxiv.org/abs/2208.01626"
    params = WordMaskParams
    needs = frozenset({Need.IMAGE})
    abilities = frozenset({Ability.PROMPTS, Ability.ATTENTION})

    def find(self, request: EditRequest[WordMaskParams], model: Model) -> Generator[Progress, None, Tensor]:
        p, image = request.params, request.image
        assert image is not None
        chosen = (
            tuple(word.text for word in words(p.word)) or changed_things(request.source, request.target)[0]
        )
        if not chosen:
            raise InputError("Which word should be marked? Name it; both prompts agree about all of them.")
        text = model.text(request.source if request.source.strip() else " ".join(chosen))
        tokens = [k for word in chosen for k in text.tokens_of(word)]
        maps = MapStore(map_sites(model.sites, request.latent_shape), request.latent_shape)
        looking = _through_noise if p.maps_from == "noised picture" else _while_inverting
        steps = range(max(p.looks, model.grid(request).steps))
        with model.denoiser.observed(maps.hook(steps, ("src.c",))):
            yield from looking(request, model, text)
        if maps.empty:
            raise MethodError(f"{self.title} found no attention layer of this model to look at.")
        attended = between_extremes(maps.average("src.c")[tokens].sum(0)[None, None])
        return on_picture(attended > p.threshold, image, widen=p.widen, snapped=p.edges)


def _through_noise(
    request: EditRequest[WordMaskParams], model: Model, text: Text
) -> Generator[Progress, None, None]:
    """Look at the picture from a fifth to three fifths of the way up, each time through new noise."""
    x0, looks = request.x0, request.params.looks
    assert x0 is not None
    noise, top = fresh_noise(request.seed, x0.shape, x0.device), len(model.schedule.alpha_bar)
    for look in range(looks):
        level = int(top * (0.2 + 0.4 * (look + 0.5) / looks))
        x = model.schedule.noised(x0, noise(), level)
        model.denoiser({"src.c": Row("src.c", text).seen(x, 0)}, level, step=look)
        yield Progress(look + 1, looks, "Looking for the words")


def _while_inverting(
    request: EditRequest[WordMaskParams], model: Model, text: Text
) -> Generator[Progress, None, None]:
    assert request.x0 is not None
    yield from invert_ddim(model, request.x0, text, model.grid(request))


@hookimpl
def register_masks() -> Sequence[Masker[Any]]:
    return [WordMask()]
