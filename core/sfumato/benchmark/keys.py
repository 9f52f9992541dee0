"""What an edit depends on, as a hash: equal keys are equal pixels, so nothing is made twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping

from sfumato.benchmark.cases import Case
from sfumato.benchmark.masks import Runs
from sfumato.benchmark.pairings import IDENTITY, TRUTH, VAE, asked
from sfumato.benchmark.plan import Row
from sfumato.benchmark.runner import Kind, Task, loaded
from sfumato.errors import InputError
from sfumato.method import Recipe
from sfumato.plugins import Registry
from sfumato.provenance import machine
from sfumato.workshop import Workshop

FREE = (IDENTITY, TRUTH)
"""Rows for which nothing is computed."""


class Keys:
    """The keys of rows and cases, each computed once.

    A key is of what decides the pictures: cases that ask for the same share one, with figures of their own.
    """

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop
        self._keys: dict[tuple[str, str], str] = {}
        self._digests: dict[str, str] = {}
        self._pictures: dict[str, str] = {}
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
        if case.id not in self._pictures:
            self._pictures[case.id] = hashlib.sha256(_bytes(case)).hexdigest()
        recipe, mask, kind = _asked(row, case, self._workshop.registry)
        asked_for = ("vae",) if kind == "vae" else (recipe.model_dump(mode="json"), mask)
        return [self._pictures[case.id], *asked_for, *self._made_by(recipe)]

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


class Tasks(Mapping[str, Task]):
    """What rows ask for cases, by key. A picture is read when its turn comes: `InputError` if it is gone."""

    def __init__(self, wanted: Mapping[str, tuple[Row, Case]], registry: Registry) -> None:
        self._wanted, self._registry = wanted, registry

    def __getitem__(self, key: str) -> Task:
        row, case = self._wanted[key]
        return Task(_bytes(case), *_asked(row, case, self._registry))

    def __iter__(self) -> Iterator[str]:
        return iter(self._wanted)

    def __len__(self) -> int:
        return len(self._wanted)


def _asked(row: Row, case: Case, registry: Registry) -> tuple[Recipe, Runs | None, Kind]:
    if row.name == VAE:
        return row.pairing.recipe, None, "vae"
    recipe, mask = asked(row.pairing, case, registry)
    return recipe, None if mask is None else case.mask, "edit"


def _bytes(case: Case) -> bytes:
    try:
        return case.picture.read_bytes()
    except OSError as error:
        raise _gone(case) from error


def _gone(case: Case) -> InputError:
    return InputError(
        f"A picture of case {case.id} cannot be read any more.",
        kept="What was made so far is kept.",
        advice="Bring the folder of cases back and run the same command again.",
    )


def hashed(told: object) -> str:
    """SHA-256 of JSON values."""
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
