"""What an edit depends on, as a hash: equal keys are equal pixels, so nothing is made twice."""

from __future__ import annotations

import hashlib
import json

from sfumato.benchmark.cases import Case
from sfumato.benchmark.pairings import IDENTITY, TRUTH, VAE, asked
from sfumato.benchmark.plan import Row
from sfumato.benchmark.runner import Task, loaded
from sfumato.errors import InputError
from sfumato.method import Recipe
from sfumato.provenance import machine
from sfumato.workshop import Workshop

FREE = (IDENTITY, TRUTH)
"""Rows for which nothing is computed."""


class Keys:
    """The keys of rows and cases, each computed once."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop
        self._keys: dict[tuple[str, str], str] = {}
        self._digests: dict[str, str] = {}
        self._identities: dict[str, list[object]] = {}

    def of(self, row: Row, case: Case) -> str:
        """The key of a row's edit of a case: picture, mask, recipe, weights, methods, machine.

        Raises `ModelError` if the model cannot be loaded, `InputError` if the picture is gone.
        """
        if (row.name, case.id) not in self._keys:
            told = [row.name, self.digest(case)] if row.name in FREE else self._told(row, case)
            self._keys[row.name, case.id] = hashed(told)
        return self._keys[row.name, case.id]

    def _told(self, row: Row, case: Case) -> list[object]:
        task = task_of(row, case, self._workshop)
        picture = hashlib.sha256(task.picture).hexdigest()
        return [
            picture,
            task.recipe.model_dump(mode="json"),
            task.mask,
            task.kind,
            *self._made_by(task.recipe),
        ]

    def _made_by(self, recipe: Recipe) -> list[object]:
        """The model's weights, the methods' versions, and the machine as far as it decides the bits."""
        name = json.dumps([recipe.model, recipe.loras, recipe.embeddings, recipe.vae])
        if name not in self._identities:
            model = loaded(recipe, self._workshop)
            here = machine(model)
            deciding = {each: here[each] for each in ("device", "precision", "threads", "batch")}
            self._identities[name] = [model.weights_hash, deciding, here["libraries"]["torch"]]
        return [*self._identities[name], self._versions(recipe)]

    def _versions(self, recipe: Recipe) -> list[object]:
        registry = self._workshop.registry
        methods = (
            registry.editors.get(recipe.editor),
            registry.inverters.get(recipe.inverter),
            registry.maskers.get(recipe.masker),
            registry.preprocessors.get(recipe.preprocessor),
        )
        return [method and method.version for method in methods]

    def digest(self, case: Case) -> str:
        """The hash of a case and its pictures. Raises `InputError` if one is gone."""
        if case.id not in self._digests:
            try:
                self._digests[case.id] = case.digest
            except OSError as error:
                raise _gone(case) from error
        return self._digests[case.id]


def task_of(row: Row, case: Case, workshop: Workshop) -> Task:
    """What a row asks for a case. Raises `InputError` if the picture is gone."""
    try:
        picture = case.picture.read_bytes()
    except OSError as error:
        raise _gone(case) from error
    if row.name == VAE:
        return Task(picture, row.pairing.recipe, kind="vae")
    recipe, mask = asked(row.pairing, case, workshop.registry)
    kind = "decoded" if row.pairing.decoded else "edit"
    return Task(picture, recipe, None if mask is None else case.mask, kind)


def _gone(case: Case) -> InputError:
    return InputError(
        f"A picture of case {case.id} cannot be read any more.",
        kept="What was made so far is kept.",
        advice="Bring the folder of cases back and run the same command again.",
    )


def hashed(told: object) -> str:
    """SHA-256 of JSON values."""
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
