"""The options of the commands, declared once, and the recipe they describe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from sfumato.errors import InputError
from sfumato.events import ModelInfo
from sfumato.files.recipe import load_recipe
from sfumato.method import MethodInfo, Need, Recipe
from sfumato.models.catalogue import from_path
from sfumato.models.control_folder import is_network
from sfumato.models.inspection import describe
from sfumato.pairing import able
from sfumato.params import explain
from sfumato.plugins import Kind, Registry
from sfumato.settings import load_settings
from sfumato.starting import starting, starting_values

Picture = Annotated[Path, typer.Argument(metavar="IN", help="The picture, or an .ora project.")]
Output = Annotated[
    Path, typer.Option("--output", "-o", help="Where to write: .png, .jpg, .webp, .tif or .ora.")
]
Source = Annotated[str | None, typer.Option(help="What the picture shows.")]
Target = Annotated[str | None, typer.Option(help="What it should show.")]
Negative = Annotated[str | None, typer.Option(help="What to steer away from.")]
Instruction = Annotated[str | None, typer.Option(help="What to do, for methods that take an instruction.")]
Weights = Annotated[
    list[str] | None, typer.Option("--weight", metavar="WORD=X", help="Stress a target word.")
]
Concepts = Annotated[
    list[str] | None,
    typer.Option("--concept", metavar="TEXT:STRENGTH", help="Something to add; below 0, to take away."),
]
Inverter = Annotated[str | None, typer.Option(help="How to invert; see `sfumato methods`.")]
Method = Annotated[str | None, typer.Option(help="How to edit; see `sfumato methods`.")]
Values = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A method's parameter.")
]
InverterValues = Annotated[
    list[str] | None, typer.Option("--set-inverter", metavar="NAME=VALUE", help="An inverter's parameter.")
]
Preprocessor = Annotated[
    str | None, typer.Option(help="What makes the control image; see `sfumato methods`.")
]
PreprocessorValues = Annotated[
    list[str] | None, typer.Option("--set-preprocessor", metavar="NAME=VALUE", help="Its parameter.")
]
MaskFile = Annotated[Path | None, typer.Option("--mask", help="White may change, black must not.")]
AutoMask = Annotated[
    str | None,
    typer.Option("--auto-mask", metavar="NAME", help="How to find the mask; see `sfumato methods`."),
]
AutoMaskValues = Annotated[
    list[str] | None, typer.Option("--set-mask", metavar="NAME=VALUE", help="A parameter of --auto-mask.")
]
Controls = Annotated[
    list[str] | None, typer.Option("--control", metavar="[NAME=]IMG", help="A control image.")
]
Start = Annotated[float | None, typer.Option(help="Share of the noisiest steps to skip.")]
StepCount = Annotated[int | None, typer.Option("--steps", help="Denoising steps.")]
Guidance = Annotated[float | None, typer.Option(help="How strongly the words lead.")]
Eta = Annotated[float | None, typer.Option(help="Fresh noise per step: 0 none, 1 as much as in training.")]
Solver = Annotated[str | None, typer.Option(help="ddim, euler_a, dpmpp_sde or lcm.")]
Offset = Annotated[
    int | None, typer.Option("--timestep-offset", help="1 as checkpoints expect, 0 as in published code.")
]
Encoding = Annotated[str | None, typer.Option(help="Encode a picture as its mean or as a sample.")]
Seed = Annotated[int | None, typer.Option(help="Where randomness starts.")]
Candidates = Annotated[int | None, typer.Option(help="How many results to make.")]
Size = Annotated[str | None, typer.Option(metavar="WxH", help="Size of the picture, in pixels.")]
Loras = Annotated[
    list[str] | None, typer.Option("--lora", metavar="FILE[:X]", help="A LoRA to put on, with strength X.")
]
Embeddings = Annotated[
    list[Path] | None, typer.Option("--embedding", help="A textual-inversion file; prompts may use its word.")
]
Vae = Annotated[Path | None, typer.Option(help="A folder or file with another autoencoder.")]
ModelName = Annotated[
    str | None, typer.Option("--model", help="A model's name, a diffusers folder or a .safetensors file.")
]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps.")]
Precision = Annotated[str | None, typer.Option(help="auto, fp32, bf16 or fp16.")]
Threads = Annotated[int | None, typer.Option(help="Processor threads.")]
RecipeFile = Annotated[Path | None, typer.Option("--recipe", help="Start from this recipe; options win.")]

_SAME_NAME = (
    "source", "target", "negative", "instruction", "inverter", "start", "steps", "guidance", "eta", "solver",
    "seed", "candidates", "model", "timestep_offset", "encoding", "preprocessor",
)  # fmt: skip
_TUNABLE = (
    ("editor", "values", "--set"),
    ("inverter", "inverter_values", "--set-inverter"),
    ("preprocessor", "preprocessor_values", "--set-preprocessor"),
    ("masker", "auto_mask_values", "--set-mask"),
)
"""What has parameters: its field in the recipe, the argument that holds them, the option they come by."""
MACHINE = ("device", "precision", "threads")


def recipe_of(given: Mapping[str, Any]) -> Recipe:
    """Build the recipe that options describe, on top of a recipe file if one is given.

    Raises `InputError` in one sentence for a value that cannot be.
    """
    path = given.get("recipe")
    base = (Recipe() if path is None else load_recipe(path).recipe).model_dump()
    changes = {name: given[name] for name in _SAME_NAME if given.get(name) is not None}
    if given.get("method") is not None:
        changes["editor"] = given["method"]
    if given.get("auto_mask") is not None:
        changes["masker"] = given["auto_mask"]
    for name, values, option in _TUNABLE:
        told = pairs(given.get(values), option)
        same = changes.get(name, base[name]) == base[name]
        changes[f"{name}_values"] = (base[f"{name}_values"] if same else {}) | told
    if given.get("weight"):
        changes["word_weights"] = pairs(given["weight"], "--weight")
    if given.get("concept"):
        changes["concepts"] = tuple(concept_of(text) for text in given["concept"])
    if given.get("size"):
        changes["size"] = size_of(given["size"])
    changes |= _additions(given)
    try:  # only what was said counts as said, so that a model's own defaults can speak for the rest
        return Recipe.model_validate(changes if path is None else base | changes)
    except ValidationError as error:
        raise InputError(explain(error, "The request", tuple(Recipe.model_fields))) from error


def _additions(given: Mapping[str, Any]) -> dict[str, Any]:
    """What goes on top of the model, by whole paths."""
    loras = [_lora(text) for text in given.get("lora") or ()]
    embeddings = [str(path.expanduser().absolute()) for path in given.get("embedding") or ()]
    vae = given.get("vae")
    told = {"loras": loras, "embeddings": embeddings, "vae": vae and str(vae.expanduser().absolute())}
    return {name: value for name, value in told.items() if value}


def _lora(text: str) -> tuple[str, float]:
    """Read "style.safetensors:0.8"; without a number the strength is 1."""
    path, colon, strength = text.rpartition(":")
    try:
        value = float(strength) if colon else 1.0
    except ValueError:
        path, value = text, 1.0
    return str(Path(path if colon else text).expanduser().absolute()), value


def pairs(texts: Iterable[str] | None, option: str) -> dict[str, str]:
    """Split NAME=VALUE texts. Raises `InputError` for one that is not."""
    found = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise InputError(f"{option} wants NAME=VALUE, not '{text}'.")
        found[name.strip()] = value
    return found


def concept_of(text: str) -> tuple[str, float]:
    """Read "a hat:1.5"; the strength is 1 if none is given. Raises `InputError` for one without words."""
    words, _, strength = text.rpartition(":")
    try:
        found = words.strip(), float(strength)
    except ValueError:
        found = text.strip(), 1.0
    if not found[0]:
        raise InputError(f"--concept wants TEXT:STRENGTH, such as 'a hat:1', not '{text}'.")
    return found


def size_of(text: str) -> tuple[int, int]:
    """Read "512x384". Raises `InputError`."""
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise InputError(f"--size wants WIDTHxHEIGHT, such as 128x128, not '{text}'.")
    return int(width), int(height)


def settled(recipe: Recipe, registry: Registry) -> Recipe:
    """Give values their types, paths all of them, and what nobody chose the model's own defaults.

    A model's name goes before a folder that happens to be called the same.
    What the recipe does not say is said by the person's settings: which model, and its defaults. A method
    which a built-in model cannot do gets the first of these that can: a person's own is never exchanged.
    Raises `InputError` for a parameter a method does not have or a value it does not take.
    """
    values = _typed(registry, "editor", recipe.editor, recipe.editor_values)
    editor = registry.info("editor", recipe.editor)
    model, info = _model(recipe, editor, registry)
    if recipe.model_fields_set != set(Recipe.model_fields):  # one of a file has said all there is
        wishes = starting_values(info, editor)
        values = _typed(registry, "editor", recipe.editor, wishes) | values
    begun = _by_default(recipe, editor.needs, model, info)
    inverter = begun.get("inverter", recipe.inverter)
    return recipe.model_copy(
        update={
            **begun,
            "editor_values": _whole(values, registry),
            "inverter_values": _typed(registry, "inverter", inverter, recipe.inverter_values),
            "masker_values": _typed(registry, "masker", recipe.masker, recipe.masker_values),
            "preprocessor_values": _made_with(registry, recipe),
        }
    )


def _whole(values: dict[str, Any], registry: Registry) -> dict[str, Any]:
    """The values, with whole paths for the folders of ControlNets."""
    folders = {
        name: str(Path(value).resolve())
        for name, value in values.items()
        if isinstance(value, str) and value not in registry.networks and is_network(Path(value))
    }
    return values | folders


def _made_with(registry: Registry, recipe: Recipe) -> dict[str, Any]:
    if not recipe.preprocessor_values:
        return {}
    _, params = registry.preprocessor(recipe.preprocessor, recipe.preprocessor_values)
    return params.model_dump(include=set(recipe.preprocessor_values))


def _model(recipe: Recipe, editor: MethodInfo, registry: Registry) -> tuple[str, ModelInfo | None]:
    """The model a recipe names, else the person's or one that can do the method, and what is known of it."""
    said = "model" in recipe.model_fields_set
    name = recipe.model if said else load_settings().default_model or recipe.model
    info = registry.models.get(name)
    if not said and info is not None and not able(editor, info):
        name, info = next((each for each in registry.models.items() if able(editor, each[1])), (name, info))
    if name not in registry.checkpoints and Path(name).exists():
        place = Path(name).resolve()
        return str(place), describe(from_path(place))
    return name, info


def _by_default(recipe: Recipe, needs: frozenset[Need], model: str, info: ModelInfo | None) -> dict[str, Any]:
    """The model, and what the recipe leaves open: by the settings, else as the model was made for."""
    said = recipe.model_fields_set
    defaults = starting(info, recipe.editor, load_settings().model_defaults.get(model))
    if Need.IMAGE in needs:
        defaults.pop("size", None)
    return {"model": model, **{k: v for k, v in defaults.items() if k not in said}}


def _typed(registry: Registry, kind: Kind, name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    if not values:
        return {}
    return registry.parsed(kind, name, values).model_dump(include=set(values))
