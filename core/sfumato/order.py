"""A job, checked: every name resolved, every value parsed, every need met, before anything is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfumato.errors import InputError
from sfumato.events import ModelInfo
from sfumato.method import Editor, Inverter, Job, Mask, Masker, Method, MethodInfo, Need
from sfumato.models.control_folder import inspect_network
from sfumato.pairing import Facts, PairingError, inversion_refusal, mask_refusal, refusal
from sfumato.params import Params
from sfumato.preprocessor import Preprocessor
from sfumato.prompts import LARGEST_WEIGHT, weigh, words
from sfumato.workshop import Workshop

LONGEST_SIDE = 4096
"""Largest side, in pixels, of a picture made from words."""


@dataclass(frozen=True, eq=False)
class Order:
    """What is to be done, and with what."""

    job: Job
    model: ModelInfo
    editor: Editor[Any]
    editor_params: Params
    inverter: Inverter[Any] | None
    inverter_params: Params
    facts: Facts
    origins: Mapping[str, str]
    """"editor", "inverter" and "masker" -> the package each came from."""
    masker: Masker[Any] | None
    """What makes the mask; None if one was painted, or none is wanted."""
    masker_params: Params
    networks: tuple[str, ...] = ()
    """ControlNets to load."""
    preprocessor: tuple[Preprocessor[Any], Params] | None = None
    """What makes the control image of the picture, if one is to be made."""

    @property
    def inverts_only(self) -> bool:
        return self.job.task == "invert"

    @property
    def edits(self) -> bool:
        return self.job.task == "edit"

    @property
    def masks_only(self) -> bool:
        return self.job.task == "mask"

    @property
    def from_words(self) -> bool:
        """The editor makes a picture from words and never looks at the one that is open."""
        looks = Need.IMAGE in self.editor.needs or self.editor.inversion != "none"
        return self.edits and not looks

    def with_mask(self, mask: Mask) -> Order:
        """The same order once its mask was made."""
        return replace(self, job=replace(self.job, mask=mask))

    @property
    def methods(self) -> dict[str, tuple[Method[Any], str]]:
        """The methods that run, with their origins."""
        ran: dict[str, tuple[Method[Any], str]] = {}
        if self.inverter is not None:
            ran["inverter"] = self.inverter, self.origins["inverter"]
        if self.edits:
            ran["editor"] = self.editor, self.origins["editor"]
        if self.masker is not None:
            ran["masker"] = self.masker, self.origins["masker"]
        return ran


def check(job: Job, workshop: Workshop) -> Order:
    """Return the order of a job.

    Raises `InputError`, `MethodError` or `ModelError`, each one sentence, if it cannot be done.
    """
    recipe, registry = job.recipe, workshop.registry
    editor = registry.info("editor", recipe.editor)
    inverts = job.task == "invert" or (job.task == "edit" and editor.inversion != "none")
    inverter = registry.info("inverter", recipe.inverter) if inverts and recipe.inverter else None
    masker = registry.info("masker", recipe.masker) if makes_mask(job) else None
    check_arrays(job)
    model, facts = workshop.describe(recipe.model), facts_of(job)
    if reason := _reason(job, (editor, inverter, masker), model, facts):
        raise PairingError(reason)
    _check_size(job, model)
    _check_weights(job)
    _check_prompts(job)
    editor_params = registry.parsed("editor", editor.name, recipe.editor_values)
    edits = job.task == "edit"
    makes_control = edits and Need.CONTROL_IMAGE in editor.needs and not job.control_images
    return Order(
        job=job,
        model=model,
        editor=registry.editors[editor.name],
        editor_params=editor_params,
        inverter=registry.inverters[inverter.name] if inverter else None,
        inverter_params=registry.parsed("inverter", inverter.name, recipe.inverter_values)
        if inverter
        else Params(),
        facts=facts,
        origins={
            "editor": editor.origin,
            "inverter": inverter.origin if inverter else "",
            "masker": masker.origin if masker else "",
        },
        masker=registry.maskers[masker.name] if masker else None,
        masker_params=registry.parsed("masker", masker.name, recipe.masker_values) if masker else Params(),
        networks=_networks(registry.editors[editor.name], editor_params, workshop) if edits else (),
        preprocessor=registry.preprocessor(recipe.preprocessor, recipe.preprocessor_values)
        if makes_control
        else None,
    )


def makes_mask(job: Job) -> bool:
    """Whether the recipe's masker has to find a mask: one that was painted goes before it."""
    return bool(job.recipe.masker) and job.task != "invert" and (job.mask is None or job.task == "mask")


def _reason(
    job: Job,
    methods: tuple[MethodInfo, MethodInfo | None, MethodInfo | None],
    model: ModelInfo,
    facts: Facts,
) -> str | None:
    """Why (editor, inverter, masker) cannot do a job, or None."""
    editor, inverter, masker = methods
    no_mask = None if masker is None else mask_refusal(masker, model, facts=facts)
    if job.task == "mask":
        return "Making a mask needs the name of a way to find one." if masker is None else no_mask
    if job.task == "edit":
        return no_mask or refusal(editor, inverter, model, facts=facts)
    if inverter is None:
        return "Inverting needs the name of an inversion method."
    return inversion_refusal(inverter, model, facts=facts)


def _networks(editor: Editor[Any], params: Params, workshop: Workshop) -> tuple[str, ...]:
    """The ControlNets an editor asks for, each looked over. Raises `ModelError` or `PairingError`."""
    names = editor.networks(params)
    for name in names:
        inspect_network(workshop.network(name).folder)
    return names


def facts_of(job: Job) -> Facts:
    """What a job brings along, as pairing wants to know it."""
    recipe = job.recipe
    return Facts(
        has_image=job.image is not None,
        has_mask=job.mask is not None or makes_mask(job),
        controls=frozenset(job.control_images),
        source=recipe.source,
        target=recipe.target,
        instruction=recipe.instruction,
        concepts=any(strength for _, strength in recipe.concepts),
        weights_differ=any(weight != 1 for weight in recipe.word_weights.values()),
        mask_empty=job.mask is not None and not job.mask.any(),
    )


def check_arrays(job: Job) -> None:
    """Raise `InputError` if a picture or mask of a job is of the wrong kind or size."""
    pictures = {"picture": job.image, **job.control_images}
    for name, pixels in pictures.items():
        if pixels is not None and not _is(pixels, 3):
            raise InputError(f"The {name} is not made of 8-bit RGBA pixels.")
    if job.mask is not None and not _is(job.mask, 2):
        raise InputError("The mask is not made of 8-bit grey pixels.")
    if job.image is None:
        return
    height, width = job.image.shape[:2]
    for name, array in {"mask": job.mask, **job.control_images}.items():
        if array is not None and array.shape[:2] != (height, width):
            raise InputError(
                f"The {name} is {array.shape[1]} x {array.shape[0]} pixels, the picture {width} x {height}.",
                advice="They must be the same size.",
            )


def _is(array: NDArray[Any], dimensions: int) -> bool:
    colours = dimensions == 2 or (array.ndim == 3 and array.shape[2] == 4)
    return array.dtype == np.uint8 and array.ndim == dimensions and array.size > 0 and colours


def _check_size(job: Job, model: ModelInfo) -> None:
    if job.recipe.size is None:
        return
    width, height = job.recipe.size
    for side in job.recipe.size:
        if side % model.multiple or not model.multiple <= side <= LONGEST_SIDE:
            raise InputError(
                f"A picture of {width} x {height} pixels cannot be made with {model.title}: both "
                f"sides must be multiples of {model.multiple} up to {LONGEST_SIDE}."
            )


def _check_weights(job: Job) -> None:
    there = {word.text.lower() for word in words(job.recipe.target)}
    for word in job.recipe.word_weights:
        if word.lower() not in there:
            raise InputError(f"The word '{word}' has a weight, but is not in the target prompt.")


def _check_prompts(job: Job) -> None:
    recipe = job.recipe
    prompts = (recipe.source, recipe.target, recipe.negative, recipe.instruction)
    for prompt in (*prompts, *(concept for concept, _ in recipe.concepts)):
        if max(weigh(prompt).weights, default=0) > LARGEST_WEIGHT:
            raise InputError(f"A weight in '{prompt}' is larger than {LARGEST_WEIGHT:g}.")
