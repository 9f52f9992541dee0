"""Plug-and-Play: the source's layout, painted anew under other words."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field

from sfumato.diffusion.attention import (
    FeatureHook,
    Features,
    Plan,
    Site,
    StreamHook,
    Streams,
    layout_places,
)
from sfumato.diffusion.branches import conditional, inverted_branch, skipped
from sfumato.diffusion.inversion import Inversion
from sfumato.diffusion.sampling import descend, shown
from sfumato.hookspecs import hookimpl
from sfumato.method import Ability, Edit, Editor, EditRequest, Need, Progress
from sfumato.models.model import Model
from sfumato.params import Hint, Params


class PlugAndPlayParams(Params):
    feature_steps: Annotated[float, Field(ge=0, le=1), Hint("Keep the layout", unit="share of steps")] = 0.8
    """How long the decoder's features are the source's. Shorter lets things move and change their parts."""
    self_steps: Annotated[float, Field(ge=0, le=1), Hint("Keep the shapes", unit="share of steps")] = 0.5
    """How long every spot relates to the others as in the source. Shorter allows new outlines."""
    source_text: Annotated[Literal["empty", "source prompt"], Field(), Hint("Invert with", advanced=True)] = (
        "empty"
    )
    """The words under which the source is inverted and looked at."""
    source_path: Annotated[
        Literal["stored trajectory", "sampled back"], Field(), Hint("Source follows", advanced=True)
    ] = "stored trajectory"
    """Look at the source as the inversion passed it, or as it comes back from it, which may have drifted."""


class PlugAndPlay(Editor[PlugAndPlayParams]):
    """Tumanyan et al.: Plug-and-Play Diffusion Features, 2023, algorithm 1.

    Rows: src.c (at guidance 1), tgt.u, tgt.c. Both target rows take the source's convolution features and its
    Q and K in self-attention; V stays their own.
    """

    name = "plug_and_play"
    title = "Plug-and-Play"
    summary = "Keeps the layout and paints everything anew: another material, style or kind of thing."
    paper = "https://arxiv.org/abs/2211.12572"
    params = PlugAndPlayParams
    needs = frozenset({Need.IMAGE, Need.TARGET_PROMPT})
    abilities = frozenset({Ability.PROMPTS, Ability.ATTENTION})
    uses = frozenset({"trajectory", "context", "noise"})

    def prompt_to_invert(self, request: EditRequest[PlugAndPlayParams]) -> str:
        """Nothing, as published, unless the source's words are wanted."""
        return request.source if request.params.source_text == "source prompt" else ""

    def edit(
        self, request: EditRequest[PlugAndPlayParams], inversion: Inversion | None, model: Model
    ) -> Generator[Progress, None, Edit]:
        assert inversion is not None
        source = inverted_branch(model, request, inversion, "src", self.prompt_to_invert(request))
        pin = inversion.trajectory if request.params.source_path == "stored trajectory" else None
        source = replace(conditional(source), pin=pin, pull=None)
        target = inverted_branch(model, request, inversion, "tgt", request.target)
        run = range(skipped(request.start, inversion.grid), inversion.grid.steps)
        plan = injection(model, request.params, run, tuple(row.name for row in target.rows))
        states = descend(model, request, inversion, [source, target] if plan.wanted else [target], plan)
        last = yield from shown(
            states, "tgt", inversion.grid, lambda state: plan.check_acted(self.title, state.i)
        )
        return Edit(latents=last.latents["tgt"], source=last.latents.get("src"))


def injection(model: Model, p: PlugAndPlayParams, run: range, rows: tuple[str, ...]) -> Plan:
    """Give `rows` the source's features, and its queries and keys, each during its share of the steps run."""
    module, selves = layout_places(model.sites)
    reads = ("src.c", *rows)

    def take(features: Features, step: int) -> Features:
        return dict.fromkeys(rows, features["src.c"])

    def relate(streams: Streams, site: Site, step: int) -> Streams:
        query, key = streams["src.c"].query, streams["src.c"].key
        return {row: streams[row]._replace(query=query, key=key) for row in rows}

    layout, shapes = (run[: int(share * len(run))] for share in (p.feature_steps, p.self_steps))
    if module is None:  # a hook with nowhere to act, so that the plan says so
        return Plan((StreamHook(frozenset(), max(layout, shapes, key=len), reads, relate),))
    related = StreamHook(frozenset(selves), shapes, reads, relate)
    return Plan((FeatureHook(module, layout, reads, take), related))


@hookimpl
def register_editors() -> Sequence[Editor[Any]]:
    return [PlugAndPlay()]
