"""What an edit depends on, as a hash: equal keys are equal pixels, so nothing is made twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from sfumato.benchmark.cases import Case
from sfumato.benchmark.masks import Runs
from sfumato.benchmark.pairings import IDENTITY, TRUTH, VAE, asked
from sfumato.benchmark.plan import Row
from sfumato.benchmark.runner import Kind, Task, loaded
from sfumato.errors import InputError
from sfumato.many.alike import methods_digest, methods_of
from sfumato.method import Recipe
from sfumato.models.control_folder import inspect_network
from sfumato.models.fingerprint import Fingerprints
from sfumato.plugins import Registry
from sfumato.provenance import BATCH, machine
from sfumato.sources import LIBRARIES, engine_digest
from sfumato.workshop import Workshop

Depends = Mapping[str, Any]
FREE = (IDENTITY, TRUTH)
"""Rows for which nothing is computed."""


class Keys:
    """The keys of rows and cases, each computed once.

    A key is of what decides the pictures: cases that ask for the same share one, with figures of their own.
    """

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop
        self._depends: dict[tuple[str, str], Depends] = {}
        self._keys: dict[tuple[str, str], str] = {}
        self._digests: dict[str, str] = {}
        self._pictures: dict[str, str] = {}
        self._models: dict[str, tuple[list[object], Depends]] = {}
        self._networks: dict[str, str] = {}

    def of(self, row: Row, case: Case) -> str:
        """The key of a row's edit of a case.

        Raises `ModelError` if a network cannot be read, `InputError` if the picture is gone.
        """
        if (row.name, case.id) not in self._keys:
            self._keys[row.name, case.id] = hashed(self.depends(row, case))
        return self._keys[row.name, case.id]

    def depends(self, row: Row, case: Case) -> Depends:
        """What the key is a hash of: picture, settings, weights, program and machine. Raises as `of` does."""
        if (row.name, case.id) not in self._depends:
            told = {"row": row.name, "case": self.digest(case)} if row.name in FREE else self._told(row, case)
            self._depends[row.name, case.id] = told
        return self._depends[row.name, case.id]

    def machine(self, recipe: Recipe) -> Depends:
        """What decides bits with a recipe's model: device, precision, threads, versions of libraries."""
        return self._model(recipe)[1]

    def weights(self, row: Row, case: Case) -> object:
        """The hash of the weights of its model alone."""
        return self._model(_asked(row, case, self._workshop.registry)[0])[0][0]

    def _told(self, row: Row, case: Case) -> Depends:
        if case.id not in self._pictures:
            self._pictures[case.id] = hashlib.sha256(_bytes(case)).hexdigest()
        recipe, mask, kind = _asked(row, case, self._workshop.registry)
        weights, machine = self._model(recipe)
        networks = {} if kind == "vae" else self._networks_of(recipe)
        settings = [kind] if kind == "vae" else [_settings(recipe, networks), mask]
        methods = [] if kind == "vae" else methods_of(recipe, self._workshop.registry)
        return {
            "picture": self._pictures[case.id],
            "settings": hashed(settings),
            "weights": hashed([*weights, *networks.values()]),
            "program": hashed([engine_digest(), BATCH, *methods]),
            **machine,
        }

    def _model(self, recipe: Recipe) -> tuple[list[object], Depends]:
        """What a recipe's model is, and the machine as far as it decides the bits."""
        name = json.dumps([recipe.model, recipe.loras, recipe.embeddings, recipe.vae])
        if name not in self._models:
            model = loaded(recipe, self._workshop)
            info, here = model.info, machine(model)
            told = [info.size, info.multiple, info.inputs, info.prediction, sorted(info.abilities)]
            deciding = {each: here[each] for each in ("device", "precision", "threads")}
            deciding |= {each: here["libraries"][each] for each in LIBRARIES}
            self._models[name] = [model.weights_hash, *told], deciding
        return self._models[name]

    def _networks_of(self, recipe: Recipe) -> dict[str, str]:
        """The hashes of the ControlNets a recipe uses, by what it calls them."""
        registry = self._workshop.registry
        params = registry.parsed("editor", recipe.editor, recipe.editor_values)
        return {name: self._network(name) for name in registry.editors[recipe.editor].networks(params)}

    def _network(self, name: str) -> str:
        if name not in self._networks:
            folder = inspect_network(self._workshop.network(name).folder)
            kept = Fingerprints(self._workshop.settings.cache_dir / "fingerprints.json")
            self._networks[name] = hashed([[path.name, kept.of_file(path)] for path in folder.files])
        return self._networks[name]

    def digest(self, case: Case) -> str:
        """The hash of a case and its pictures. Raises `InputError` if one is gone."""
        if case.id not in self._digests:
            try:
                self._digests[case.id] = case.digest
            except OSError as error:
                raise _gone(case) from error
        return self._digests[case.id]


def _settings(recipe: Recipe, networks: Mapping[str, str]) -> dict[str, Any]:
    """A recipe without its networks: they go by their weights, wherever they lie."""
    told = recipe.model_dump(mode="json", exclude={"model", "loras", "embeddings", "vae"})
    values = recipe.editor_values.items()
    return told | {"editor_values": {key: networks.get(str(value).strip(), value) for key, value in values}}


class Tasks(Mapping[str, Task]):
    """What rows ask for cases, by key. A picture is read when its turn comes: `InputError` if it is gone."""

    def __init__(self, wanted: Mapping[str, tuple[Row, Case]], registry: Registry) -> None:
        self._wanted, self._registry = wanted, registry

    def __getitem__(self, key: str) -> Task:
        row, case = self._wanted[key]
        recipe, mask, kind = _asked(row, case, self._registry)
        methods = "" if kind == "vae" else methods_digest(recipe, self._registry)
        return Task(_bytes(case), recipe, mask, kind, methods)

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
