"""ControlNets in a job: whose folder is opened, what is refused, what a result remembers of them."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sfumato.document.compositor import fingerprint
from sfumato.errors import InputError, ModelError, SfumatoError
from sfumato.method import Job, Pixels, Recipe
from sfumato.models.catalogue import Checkpoint, from_folder
from sfumato.models.control_folder import inspect_network, is_network
from sfumato.pairing import PairingError
from sfumato.perform import perform
from sfumato.plugins import load_plugins
from sfumato.preprocessor import Colours, Preprocessor
from tests.tiny import drain, tiny_network

CONTROL = {"editor": "controlnet", "inverter": "", "steps": 3}
Workshop = Any


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A ControlNet for the tiny model, on disk."""
    folder = tmp_path / "edges"
    tiny_network(1).save_pretrained(folder)
    return folder


@pytest.fixture
def controlled(make_job: Callable[..., Job], network: Path) -> Callable[..., Job]:
    """Make a job under that ControlNet; keywords are the editor's parameters, `recipe` the recipe's."""

    def make(recipe: Any = None, mask: Any = None, image: Any = ..., **values: Any) -> Job:
        pictured = {} if image is ... else {"image": image}
        wanted = {"network": str(network)} | values
        return make_job(mask=mask, **pictured, **CONTROL | {"editor_values": wanted} | (recipe or {}))

    return make


def test_the_photo_is_what_the_control_image_is_made_of(
    make_workshop: Callable[..., Workshop], controlled: Callable[..., Job], tmp_path: Path
) -> None:
    workshop = make_workshop()
    outcome = drain(perform(controlled(), workshop))
    made = outcome.provenance
    assert list(made["networks"]) == [str(tmp_path / "edges")]
    assert len(next(iter(made["networks"].values()))) == 64
    assert made["preprocessor"]["name"] == "canny"
    assert workshop.model.counters.control > 0
    other = drain(perform(controlled({"preprocessor": "soft_edge"}), workshop))
    assert not np.array_equal(other.patches[0], outcome.patches[0])
    tuned = {"preprocessor": "soft_edge", "preprocessor_values": {"gain": 20.0}}
    assert not np.array_equal(drain(perform(controlled(tuned), workshop)).patches[0], other.patches[0])


def test_a_control_image_that_is_given_goes_before_and_is_remembered(
    make_workshop: Callable[..., Workshop], controlled: Callable[..., Job], picture: Pixels
) -> None:
    workshop = make_workshop()
    given = np.ascontiguousarray(picture[::-1])
    job = replace(controlled(), control_images={"control": given})
    made = drain(perform(job, workshop)).provenance
    assert made["control_images"] == {"control": fingerprint(given)}
    assert "preprocessor" not in made


def test_the_same_picture_as_it_is_or_given_is_the_same(
    make_workshop: Callable[..., Workshop], controlled: Callable[..., Job], picture: Pixels
) -> None:
    workshop = make_workshop()
    as_is = drain(perform(controlled({"preprocessor": "as_is"}), workshop))
    given = drain(perform(replace(controlled(), control_images={"control": picture}), workshop))
    assert np.abs(as_is.patches[0].astype(int) - given.patches[0]).max() <= 2, "8 bits on the way"


def test_words_and_a_control_image_are_enough_and_give_its_shape(
    make_workshop: Callable[..., Workshop], controlled: Callable[..., Job]
) -> None:
    wide = np.full((30, 60, 4), 255, np.uint8)
    wide[:, 30:, :3] = 0
    job = replace(controlled(image=None), control_images={"control": wide})
    left, top, right, bottom = drain(perform(job, make_workshop())).box
    assert (left, top) == (0, 0)
    assert right - left == pytest.approx(2 * (bottom - top), abs=4)


def test_outside_the_mask_nothing_changes(
    make_workshop: Callable[..., Workshop], controlled: Callable[..., Job]
) -> None:
    mask = np.zeros((40, 48), np.uint8)
    mask[8:20, 8:24] = 255
    outcome = drain(perform(controlled(mask=mask), make_workshop()))
    assert outcome.changed_outside == 0
    assert outcome.patches[0][..., 3].any()


def test_it_is_loaded_once_and_goes_when_another_is_wanted(
    make_workshop: Callable[..., Workshop], controlled: Callable[..., Job], network: Path, tmp_path: Path
) -> None:
    workshop = make_workshop()
    names = [str(network)]
    (first,) = drain(workshop.load_networks(names, workshop.model))
    assert drain(workshop.load_networks(names, workshop.model)) == (first,)
    tiny_network(2).save_pretrained(tmp_path / "other")
    both = drain(workshop.load_networks([*names, str(tmp_path / "other")], workshop.model))
    assert both[0] is first
    assert both[1].weights_hash != first.weights_hash
    assert not any(each.requires_grad for each in both[1].network.parameters())
    assert drain(workshop.load_networks([], workshop.model)) == ()
    assert drain(workshop.load_networks(names, workshop.model))[0] is not first


def change(folder: Path, **values: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def lose_weights(folder: Path) -> None:
    next(folder.glob("*.safetensors")).unlink()


def only_a_pickle(folder: Path) -> None:
    lose_weights(folder)
    (folder / "diffusion_pytorch_model.bin").write_bytes(pickle.dumps({}))


def cut_short(folder: Path) -> None:
    weights = next(folder.glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (only_a_pickle, "pickled weights only.*diffusion_pytorch_model.bin"),
        (lose_weights, "diffusion_pytorch_model.safetensors is missing"),
        (cut_short, "cannot be read"),
        (lambda folder: (folder / "config.json").write_text("{"), "damaged"),
        (lambda folder: (folder / "config.json").write_text("[]"), "damaged"),
        (lambda folder: (folder / "config.json").unlink(), "not a ControlNet"),
        (lambda folder: (folder / "model_index.json").write_text("{}"), "whole model"),
        (lambda folder: (folder / "net.py").write_text("raise SystemExit"), r"program code \(net.py\)"),
        (lambda folder: change(folder, auto_map={}), "code of its own"),
        (lambda folder: change(folder, _class_name="FluxControlNetModel"), "FluxControlNetModel"),
        (lambda folder: change(folder, cross_attention_dim=768), "768 numbers a word.*16"),
        (lambda folder: change(folder, block_out_channels=[16, 64]), "16, 64 channels.*16, 32"),
        (lambda folder: change(folder, layers_per_block=2), "2 layers"),
        (lambda folder: change(folder, in_channels=16), "16 latent channels"),
        (lambda folder: change(folder, conditioning_channels=1), "1 channels instead of 3"),
        (lambda folder: change(folder, addition_embed_type="text_time"), "text_time"),
        (
            lambda folder: change(folder, conditioning_embedding_out_channels=[16, 32, 96, 256]),
            "shrinks control images 8 times",
        ),
        (lambda folder: change(folder, num_class_embeds=3), "weights are missing"),
    ],
)
def test_what_cannot_be_used_is_one_sentence_and_nothing_has_run(
    make_workshop: Callable[..., Workshop],
    controlled: Callable[..., Job],
    network: Path,
    spoil: Callable[[Path], Any],
    said: str,
) -> None:
    spoil(network)
    workshop = make_workshop()
    before = workshop.model.counters.forward
    with pytest.raises(ModelError, match=said):
        drain(perform(controlled(), workshop))
    assert workshop.model.counters.forward == before


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"network": ""}, "needs a ControlNet"),
        ({"network": "no-such-thing"}, "no ControlNet 'no-such-thing'"),
        ({"second_network": "no-such-thing"}, "no ControlNet 'no-such-thing'"),
    ],
)
def test_a_network_that_is_not_there_is_said_before_anything_runs(
    make_workshop: Callable[..., Workshop],
    controlled: Callable[..., Job],
    values: dict[str, Any],
    said: str,
) -> None:
    with pytest.raises(SfumatoError, match=said):
        next(perform(controlled(**values), make_workshop()))


def test_without_picture_and_control_image_there_is_nothing_to_follow(
    make_workshop: Callable[..., Workshop], controlled: Callable[..., Job]
) -> None:
    with pytest.raises(PairingError, match="a control image: choose one, or open a picture"):
        next(perform(controlled(image=None), make_workshop()))


def test_an_unknown_preprocessor_is_named_with_those_there_are(
    make_workshop: Callable[..., Workshop], controlled: Callable[..., Job]
) -> None:
    with pytest.raises(PairingError, match=r"no preprocessor 'magic'\. There are: canny, "):
        next(perform(controlled({"preprocessor": "magic"}), make_workshop()))
    with pytest.raises(InputError, match="no parameter 'much'"):
        next(perform(controlled({"preprocessor_values": {"much": 1}}), make_workshop()))


def test_a_control_image_alone_needs_no_model(
    make_workshop: Callable[..., Workshop], picture: Pixels
) -> None:
    workshop = make_workshop()
    workshop._model = None
    outcome = drain(perform(Job(recipe=Recipe(), task="control", image=picture), workshop))
    assert outcome.box == (0, 0, 48, 40)
    assert np.array_equal(outcome.patches[0][..., 3], picture[..., 3])
    assert set(np.unique(outcome.patches[0][..., :3])) <= {0, 255}
    with pytest.raises(InputError, match="open one"):
        drain(perform(Job(recipe=Recipe(), task="control"), workshop))


class Shrinks(Preprocessor[Any]):
    """Gives less than it got."""

    name, title, summary = "shrinks", "Shrinks", "Gives a smaller picture."

    def make(self, picture: Colours, params: Any) -> Colours:
        return picture[:1]


def test_a_preprocessor_that_gives_no_picture_of_that_size_is_named(
    make_workshop: Callable[..., Workshop], controlled: Callable[..., Job]
) -> None:
    workshop = make_workshop()
    workshop.registry.preprocessors["shrinks"] = Shrinks()
    with pytest.raises(SfumatoError, match="Shrinks gave no control image"):
        drain(perform(controlled({"preprocessor": "shrinks"}), workshop))


def test_a_control_nets_folder_is_listed_but_is_no_model(network: Path) -> None:
    registry = load_plugins([], extra=[from_folder(network)])
    assert registry.broken == ()
    assert registry.models == {}
    assert [info.name for info in registry.describe().networks] == [str(network)]
    assert is_network(network)
    assert not is_network(network.parent)


def test_a_plugin_brings_preprocessors_and_control_nets_by_name(
    plugin: Callable[..., Any], network: Path
) -> None:
    from sfumato.hookspecs import hookimpl

    @hookimpl
    def register_controls() -> Any:
        return [Shrinks()]

    @hookimpl
    def register_models() -> Any:
        return [Checkpoint("edges", "Edges", network)]

    point = plugin("mine", register_controls=register_controls, register_models=register_models)
    registry = load_plugins([point])
    assert list(registry.preprocessors) == ["shrinks"]
    assert list(registry.networks) == ["edges"]
    twice = load_plugins([point, plugin("again", register_controls=register_controls)])
    assert "The preprocessor 'shrinks' is there already" in twice.broken[0].error


def test_weights_named_fp16_are_found(network: Path) -> None:
    assert inspect_network(network).variant is None
    weights = next(network.glob("*.safetensors"))
    weights.rename(network / "diffusion_pytorch_model.fp16.safetensors")
    assert inspect_network(network).variant == "fp16"
    assert [path.name for path in inspect_network(network).files] == [
        "config.json",
        "diffusion_pytorch_model.fp16.safetensors",
    ]
