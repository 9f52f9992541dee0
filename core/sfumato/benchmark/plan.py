"""What is to be run on what: the rows of a table, each with its cases, or the reason why it has none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sfumato.benchmark.cases import Case, load_pictures
from sfumato.benchmark.pairings import IDENTITY, TRUTH, VAE, Pairing, asked
from sfumato.benchmark.selection import FEW_PER_TYPE, PER_TYPE, per_type, spread_over_types
from sfumato.document.compositor import flatten
from sfumato.errors import InputError, ModelError
from sfumato.events import ModelInfo
from sfumato.method import Job, Recipe
from sfumato.order import check, facts_of
from sfumato.pairing import PairingError, refusal
from sfumato.plugins import Registry
from sfumato.workshop import Workshop


@dataclass(frozen=True)
class Choice:
    """Which cases were asked for; without any number, the rules of `selection` decide."""

    count: int | None = None
    """So many in all."""
    per_type: int | None = None
    """So many of each edit type."""

    @property
    def made(self) -> bool:
        return self.count is not None or self.per_type is not None

    def of(self, cases: Sequence[Case]) -> tuple[Case, ...]:
        """The cases chosen, all of them if nothing was; in turn of each type, so that half a run has all."""
        if self.per_type is not None:
            cases = per_type(cases, self.per_type)
        return spread_over_types(cases, len(cases) if self.count is None else self.count)


@dataclass(frozen=True)
class Row:
    """A pairing and its cases."""

    pairing: Pairing
    cases: tuple[Case, ...] = ()
    few: tuple[Case, ...] | None = None
    """The cases if the first of them turns out to be slow; None if all are run however slow."""
    refusal: str = ""
    """Why it cannot be run at all, in one sentence."""
    lacking: str = ""
    """Why it is not run on some cases: "3 cases: ..."; empty if it is run on all."""

    @property
    def name(self) -> str:
        return self.pairing.name

    @property
    def is_edit(self) -> bool:
        return self.name not in (IDENTITY, VAE, TRUTH)


def planned(
    pairings: Sequence[Pairing], cases: Sequence[Case], choice: Choice, workshop: Workshop
) -> list[Row]:
    """The rows of these pairings; nothing is run, only looked over."""
    return [_row(pairing, cases, choice, workshop) for pairing in pairings]


def _row(pairing: Pairing, cases: Sequence[Case], choice: Choice, workshop: Workshop) -> Row:
    try:
        model = workshop.describe(pairing.recipe.model)
    except ModelError as error:
        return Row(pairing, refusal=str(error))
    reasons = {case.id: _refused(pairing, case, model, workshop.registry) for case in cases}
    usable = [case for case in cases if not reasons[case.id]]
    whole = choice.made or pairing.headline
    chosen = (choice if whole else Choice(per_type=PER_TYPE)).of(usable)
    first = next((reason for reason in reasons.values() if reason), "")
    if why := _checked(pairing, chosen[0], workshop) if chosen else first:
        return Row(pairing, refusal=why)
    count = len(cases) - len(usable)
    return Row(
        pairing,
        chosen,
        few=None if whole else Choice(per_type=FEW_PER_TYPE).of(usable),
        lacking=f"{count} case{'s'[: count > 1]}: {first}" if count else "",
    )


def baselines(rows: Sequence[Row], base: Recipe) -> list[Row]:
    """Rows to compare with, on all cases of the others: the picture itself, the VAE's, and the truth."""
    used = {case.id: case for row in rows for case in row.cases}
    cases = tuple(used.values())
    known = tuple(case for case in cases if case.truth is not None)
    rest = [Row(Pairing(IDENTITY, base), cases), Row(Pairing(VAE, base), cases)]
    return [*rest, *([Row(Pairing(TRUTH, base), known)] if known else [])]


def _refused(pairing: Pairing, case: Case, model: ModelInfo, registry: Registry) -> str:
    """What a case lacks for a pairing, or the model does; empty if nothing."""
    recipe, mask = asked(pairing, case, registry)
    editor = registry.info("editor", recipe.editor)
    inverts = recipe.inverter and editor.inversion != "none"
    inverter = registry.info("inverter", recipe.inverter) if inverts else None
    job = Job(recipe=recipe, image=np.zeros((1, 1, 4), np.uint8), mask=mask)
    return refusal(editor, inverter, model, facts=facts_of(job)) or ""


def _checked(pairing: Pairing, case: Case, workshop: Workshop) -> str:
    """What is wrong with the whole request for one case, as an edit would find out before it is run."""
    recipe, mask = asked(pairing, case, workshop.registry)
    try:
        image = flatten(load_pictures(case).document)
    except InputError:
        return ""  # the picture's own fault, told when its turn comes
    try:
        check(Job(recipe=recipe, image=image, mask=mask), workshop)
    except (PairingError, ModelError, InputError) as error:
        return str(error)
    return ""
