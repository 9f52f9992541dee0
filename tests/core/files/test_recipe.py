import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from PIL import Image

from sfumato.document.compositor import fingerprint, flatten
from sfumato.document.layers import Document, EditInfo, Layer
from sfumato.errors import InputError, SfumatoError
from sfumato.files.images import export_image, read_recipe
from sfumato.files.recipe import MAX_BYTES, SavedMask, SavedRecipe, load_recipe, save_recipe
from sfumato.method import Recipe

RECIPE = Recipe(
    source="a cat <&> «ゆき»", target='a "dog" \U0001f415\x01', seed=7, editor_values={"cross_steps": 0.3}
)


def edited(mask=None, recipe=RECIPE):
    edit = EditInfo(recipe, mask, {"threads": 2, "share": 0.1}, (), 0, "ab")
    base = Layer("picture", np.full((40, 50, 4), 200, np.uint8))
    return Document(50, 40, [base, Layer("edit", np.full((8, 8, 4), 255, np.uint8), edit=edit)])


def blob():
    mask = np.zeros((40, 50), np.uint8)
    mask[5:20, 5:20] = 255
    return mask


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
def test_an_export_carries_its_recipe(suffix, tmp_path):
    document = edited(blob())
    path = tmp_path / f"out.{suffix}"
    export_image(document, path)
    saved = read_recipe(path)
    assert saved is not None
    assert saved.recipe == RECIPE
    assert saved.provenance == {"threads": 2, "share": 0.1}
    assert saved.source_sha256 == fingerprint(flatten(document, below=document.layers[1].id))
    assert saved.mask is not None
    assert_array_equal(saved.mask.pixels(), blob())
    export_image(document, path, recipe=False)
    assert read_recipe(path) is None
    document.layers[1].visible = False
    export_image(document, path)
    assert read_recipe(path) is None, "what is not seen was not done"


def test_a_large_mask_is_named_by_its_hash(tmp_path):
    mask = np.random.default_rng(1).integers(0, 256, (400, 400), np.uint8)
    saved = SavedMask.of(mask)
    assert saved.pixels() is None
    assert saved.sha256 == fingerprint(mask)


def test_a_recipe_too_large_for_a_jpeg_leaves_its_mask_and_then_itself_behind(tmp_path):
    # 17 kB of mask and 50 kB of prompts: together more than the 64 kB of a segment
    mask = np.random.default_rng(1).integers(0, 256, (120, 180), np.uint8)
    recipe = Recipe(source="ゆ" * 2000, target="き" * 2000, negative="猫" * 2000, instruction="犬" * 1000)
    edit = EditInfo(recipe, mask, {}, (), 0, "")
    document = Document(180, 120, [Layer("edit", np.full((8, 8, 4), 255, np.uint8), edit=edit)])
    export_image(document, tmp_path / "out.jpg")
    saved = read_recipe(tmp_path / "out.jpg")
    assert saved is not None
    assert saved.recipe == recipe
    assert saved.mask is None
    document.layers[0].edit = EditInfo(recipe, mask, {"log": "x" * 70_000}, (), 0, "")
    export_image(document, tmp_path / "out.jpg")
    assert read_recipe(tmp_path / "out.jpg") is None
    export_image(document, tmp_path / "out.png")
    assert read_recipe(tmp_path / "out.png") is not None


def test_a_picture_without_a_recipe(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "plain.png")
    assert read_recipe(tmp_path / "plain.png") is None


def test_a_hostile_packet_is_refused(tmp_path):
    bomb = (
        b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
        b"<x xmlns:s='https://sfumato.invalid/ns/1/'><s:recipe>&b;</s:recipe></x>"
    )
    path = tmp_path / "bomb.jpg"
    Image.new("RGB", (4, 4)).save(path, xmp=bomb)
    with pytest.raises(InputError):
        read_recipe(path)


def test_a_recipe_file_comes_back(tmp_path):
    saved = SavedRecipe(
        recipe=RECIPE, provenance={"a": [1, None, True]}, source_sha256="12", mask=SavedMask.of(blob())
    )
    save_recipe(saved, tmp_path / "r.json")
    assert load_recipe(tmp_path / "r.json") == saved


def broken_recipes():
    good = json.loads(SavedRecipe(recipe=RECIPE).to_json())
    yield b"", "JSON"
    yield b"nonsense", "JSON"
    yield b"[1]", "does not hold"
    yield b"\xff\xfe\xfa", "JSON"
    yield b'{"version": 1' + b"[" * 200_000, "JSON"
    yield b'{"version":1,"provenance":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001, "JSON"
    yield b'{"version": 1, "recipe": {"guidance": NaN}}', "JSON"
    yield b'{"version": 1, "recipe": {"guidance": 1e999}}', "guidance"
    yield b'{"version": 1, "recipe": {"seed": ' + b"9" * 5000 + b"}}", "JSON"
    yield b" " * (MAX_BYTES + 1), "too large"
    yield json.dumps(good | {"version": 7}).encode(), "newer Sfumato"
    yield json.dumps(good | {"version": "1"}).encode(), "which version"
    yield json.dumps(good | {"version": True}).encode(), "which version"
    yield json.dumps({"recipe": {}}).encode(), "which version"
    yield json.dumps(good | {"extra": 1}).encode(), "no parameter 'extra'"
    yield json.dumps(good | {"recipe": {"steps": 0}}).encode(), "steps"
    yield json.dumps(good | {"recipe": {"source": "x" * 3000}}).encode(), "source"
    yield json.dumps(good | {"recipe": {"seed": 2**64}}).encode(), "seed"


BROKEN = tuple(broken_recipes())


@pytest.mark.parametrize(("data", "complaint"), BROKEN, ids=range(len(BROKEN)))
def test_broken_recipes_are_refused_in_a_sentence(data, complaint, tmp_path):
    path = tmp_path / "recipe.json"
    path.write_bytes(data)
    with pytest.raises(InputError, match=complaint):
        load_recipe(path)


@pytest.mark.parametrize("png", ["", "!!!", "aGVsbG8="])
def test_a_damaged_mask_is_refused(png):
    saved = SavedMask(sha256="00", png=png)
    if not png:
        assert saved.pixels() is None
        return
    with pytest.raises(InputError, match="mask"):
        saved.pixels()


def test_a_mask_that_is_not_the_one_named_is_refused():
    with pytest.raises(InputError, match="hash"):
        SavedMask(sha256="00", png=SavedMask.of(blob()).png).pixels()


letters = st.text("abc\x00é", max_size=10)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | letters,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(letters, inner, max_size=4),
    max_leaves=10,
)
fields = st.sampled_from(["version", "recipe", "provenance", "mask", "source_sha256", "seed", "steps", "png"])


@given(st.dictionaries(fields, json_values | st.dictionaries(fields, json_values)), st.booleans())
def test_any_json_is_read_or_refused(data, current):
    if current:
        data["version"] = 1
    try:
        saved = SavedRecipe.from_json(json.dumps(data))
    except SfumatoError:
        return
    assert SavedRecipe.from_json(saved.to_json()) == saved
