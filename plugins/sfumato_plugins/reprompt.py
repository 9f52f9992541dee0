"""Re-prompting: come back from the inversion under another prompt."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from sfumato.diffusion.branches import inverted_branch
from sfumato.diffusion.inversion import Inversion
from sfumato.diffusion.sampling import descend, shown
from sfumato.hookspecs import hookimpl
from sfumato.method import Ability, Edit, Editor, EditRequest, Need, Progress
from sfumato.models.model import Model
from sfumato.params import Params


class Reprompt(Editor[Params]):
    """Sample from the inverted picture with the target prompt and nothing else."""

    name = "reprompt"
    title = "Re-prompt"
    summary = "Comes back from the inversion under the new prompt. Simple; the layout may change."
    paper = "https://arxiv.org/abs/2010.02502"
    needs = frozenset({Need.IMAGE, Need.TARGET_PROMPT})
    abilities = frozenset({Ability.PROMPTS})
    uses = frozenset({"trajectory", "context", "noise"})

    def edit(
        self, request: EditRequest[Params], inversion: Inversion | None, model: Model
    ) -> Generator[Progress, None, Edit]:
        assert inversion is not None
        target = inverted_branch(model, request, inversion, "tgt", request.target)
        states = descend(model, request, inversion, [target])
        last = yield from shown(states, "tgt", inversion.grid)
        return Edit(latents=last.latents["tgt"])


@hookimpl
def register_editors() -> Sequence[Editor[Any]]:
    return [Reprompt()]
