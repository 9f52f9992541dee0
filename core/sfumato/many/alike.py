"""Whether a worker has the methods that the run itself has: others of the same name make other pixels."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from sfumato.errors import SfumatoError
from sfumato.many.worker import ALIKE
from sfumato.method import Method, Need, Recipe
from sfumato.plugins import Registry
from sfumato.preprocessor import Preprocessor
from sfumato.sources import class_digest


def methods_of(recipe: Recipe, registry: Registry) -> list[object]:
    """Name, version and source of each method that a recipe runs, as JSON values."""
    editor = registry.editors[recipe.editor]
    used: list[Method[Any] | Preprocessor[Any] | None] = [editor, registry.maskers.get(recipe.masker)]
    if editor.inversion != "none":
        used.append(registry.inverters.get(recipe.inverter))
    if Need.CONTROL_IMAGE in editor.needs:
        used.append(registry.preprocessors.get(recipe.preprocessor))
    return [each and [each.name, each.version, class_digest(type(each))] for each in used]


def methods_digest(recipe: Recipe, registry: Registry) -> str:
    """Their hash; empty if the editor is not there."""
    if recipe.editor not in registry.editors:
        return ""
    return hashlib.sha256(json.dumps(methods_of(recipe, registry)).encode()).hexdigest()


def demand(methods: str, recipe: Recipe, registry: Registry) -> None:
    """Raise `SfumatoError` if a worker's methods are not those of that `methods_digest`."""
    if methods and methods != methods_digest(recipe, registry):
        raise SfumatoError(
            f"The worker that had it lacks the method '{recipe.editor}', or has another version of it or of "
            "what it works with.",
            kept="All other results are kept.",
            advice=ALIKE,
        )
