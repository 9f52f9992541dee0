import json
import os
import zipfile
from dataclasses import asdict
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from sfumato.document.compositor import flatten
from sfumato.document.layers import Document, Layer
from sfumato.errors import InputError, StorageError
from sfumato.files.images import export_image, open_image
from sfumato.files.openraster import open_project, save_project


def rewritten(path, changes, *, drop=()):
    """The same archive with entries replaced, added or left out."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (entries | changes).items():
            if name not in drop:
                archive.writestr(name, data)
    return path


def assert_same_edit(a, b):
    assert (a is None) == (b is None)
    if a is None:
        return
    assert (a.recipe, a.provenance, a.chosen, a.below) == (b.recipe, b.provenance, b.chosen, b.below)
    assert (a.mask is None) == (b.mask is None)
    if a.mask is not None:
        assert_array_equal(a.mask, b.mask)
    assert len(a.candidates) == len(b.candidates)
    for one, other in zip(a.candidates, b.candidates, strict=True):
        assert_array_equal(one, other)


def test_a_project_comes_back_bit_for_bit(rich_document, tmp_path):
    path = tmp_path / "project.ora"
    save_project(rich_document, path)
    again = open_project(path)
    for name in ("width", "height", "profile", "exif", "title", "recipe"):
        assert getattr(again, name) == getattr(rich_document, name), name
    assert again.source_path == path
    assert again.notes == ()
    assert_array_equal(again.mask, rich_document.mask)
    for one, other in zip(again.layers, rich_document.layers, strict=True):
        assert (one.id, one.name, one.box, one.visible, one.opacity) == (
            other.id,
            other.name,
            other.box,
            other.visible,
            other.opacity,
        )
        assert_array_equal(one.pixels, other.pixels)
        assert_same_edit(one.edit, other.edit)
    assert_array_equal(flatten(again), flatten(rich_document))
    twice = tmp_path / "twice.ora"
    save_project(again, twice)
    assert twice.read_bytes() == path.read_bytes(), "the same document makes the same file"


@pytest.mark.parametrize("size", [(1, 1), (3, 500)])
def test_bare_documents_come_back(size, tmp_path):
    path = tmp_path / "bare.ora"
    save_project(Document(*size), path)
    again = open_project(path)
    assert (again.width, again.height, again.layers, again.mask) == (*size, [], None)
    assert (again.profile, again.exif) == (None, None)


def test_it_is_a_valid_openraster_file(rich_document, tmp_path):
    """Baseline 0.0.5: mimetype first and stored, stack topmost first, a merged image and a thumbnail."""
    path = tmp_path / "project.ora"
    save_project(rich_document, path)
    assert path.read_bytes()[30:54] == b"mimetypeimage/openraster"
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        first = archive.infolist()[0]
        assert (first.filename, first.compress_type) == ("mimetype", zipfile.ZIP_STORED)
        image = ElementTree.fromstring(archive.read("stack.xml"))
        assert (image.tag, image.get("w"), image.get("h")) == ("image", "70", "50")
        layers = image.findall("./stack/layer")
        assert [layer.get("name") for layer in layers][2:] == [
            rich_document.layers[1].name.replace("\x07", "\ufffd"),
            "Background",
        ]
        for layer in layers:
            with archive.open(layer.attrib["src"]) as part, Image.open(part) as picture:
                assert picture.format == "PNG"
                assert picture.mode == "RGBA"
                assert picture.info["icc_profile"] == rich_document.profile
        assert layers[2].get("visibility") == "hidden"
        with archive.open("mergedimage.png") as part, Image.open(part) as merged:
            assert_array_equal(np.asarray(merged), flatten(rich_document))
        with archive.open("Thumbnails/thumbnail.png") as part, Image.open(part) as thumbnail:
            assert max(thumbnail.size) <= 256
        assert json.loads(archive.read("sfumato/document.json"))["version"] == 1


FOREIGN = """<?xml version='1.0' encoding='UTF-8'?>
<image version="0.0.3" w="20" h="10"><stack>
  <layer src="data/top.png" x="3" composite-op="svg:multiply"/>
  <text>ignored</text>
  <stack x="2" y="1" opacity="0.5" visibility="hidden">
    <layer name="in a group" src="data/low.png" x="1" y="1" opacity="0.5"/>
  </stack>
  <layer name="low" src="data/low.png"/>
</stack></image>"""


def foreign(path, xml=FOREIGN, **pictures):
    images = {"top": Image.new("LA", (4, 4), (9, 8)), "low": Image.new("P", (20, 10))} | pictures
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("stack.xml", xml)
        for name, image in images.items():
            with archive.open(f"data/{name}.png", "w") as part:
                image.save(part, "PNG")
    return path


def test_another_programs_file_opens(tmp_path, adobe_rgb):
    path = foreign(tmp_path / "foreign.ora")
    document = open_project(path)
    low, grouped, top = document.layers
    assert (document.width, document.height, document.title) == (20, 10, "foreign.ora")
    assert (low.name, grouped.name, top.name) == ("low", "in a group", "")
    assert (grouped.left, grouped.top, grouped.opacity, grouped.visible) == (3, 2, 0.25, False)
    assert (top.left, top.pixels.shape, top.pixels[0, 0].tolist()) == (3, (4, 4, 4), [9, 9, 9, 8])
    assert any("groups" in note for note in document.notes)
    assert any("svg:multiply" in note for note in document.notes)
    coloured = Image.new("RGBA", (20, 10))
    coloured.info["icc_profile"] = adobe_rgb
    assert open_project(foreign(path, low=coloured)).profile == adobe_rgb


def test_a_newer_projects_layers_open_as_pictures_and_it_says_so(rich_document, tmp_path):
    path = tmp_path / "newer.ora"
    save_project(rich_document, path)
    rewritten(path, {"sfumato/document.json": b'{"version": 2, "wonders": []}'})
    document = open_project(path)
    assert any("newer Sfumato" in note for note in document.notes)
    assert_array_equal(flatten(document), flatten(rich_document))
    assert not any(layer.edit for layer in document.layers)


@pytest.mark.parametrize(
    "extras", [b"", b"{", b"[]", b"{}", b'{"version": 1, "layers": 3}', b'{"version":1,"x":NaN}']
)
def test_damaged_extras_cost_the_extras_and_it_says_so(extras, rich_document, tmp_path):
    path = tmp_path / "damaged.ora"
    save_project(rich_document, path)
    document = open_project(rewritten(path, {"sfumato/document.json": extras}))
    assert document.notes
    assert len(document.layers) == 4
    assert document.mask is None


def test_a_layer_renamed_by_another_program_keeps_that_name(rich_document, tmp_path):
    path = tmp_path / "project.ora"
    save_project(rich_document, path)
    with zipfile.ZipFile(path) as archive:
        xml = archive.read("stack.xml").replace(b'"Background"', b'"Sky"')
    document = open_project(rewritten(path, {"stack.xml": xml}))
    assert document.layers[0].name == "Sky"
    assert document.layers[0].id == rich_document.layers[0].id
    assert document.layers[1].name == rich_document.layers[1].name


def test_a_failed_save_leaves_the_project_that_was_there(rich_document, tmp_path, monkeypatch):
    path = tmp_path / "project.ora"
    save_project(rich_document, path)
    before = path.read_bytes()
    rich_document.layers.append(Layer("more", np.zeros((4, 4, 4), np.uint8)))
    written = 0
    write = zipfile.ZipFile.writestr

    def fills_up(archive, *arguments):
        nonlocal written
        written += 1
        if written > 5:
            raise OSError(28, "No space left on device")
        write(archive, *arguments)

    monkeypatch.setattr(zipfile.ZipFile, "writestr", fills_up)
    with pytest.raises(StorageError, match="full"):
        save_project(rich_document, path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["project.ora"]


def test_odd_provenance_and_odd_names_do_not_stop_a_save(rich_document, tmp_path):
    edit = rich_document.layers[2].edit
    edit.provenance.update(psnr=float("nan"), best=float("inf"), step=np.int64(3), place=tmp_path)
    rich_document.title = rich_document.layers[0].name = os.fsdecode(b"caf\xe9.jpg")
    save_project(rich_document, tmp_path / "project.ora")
    export_image(rich_document, tmp_path / "export.png")
    again = open_project(tmp_path / "project.ora")
    assert again.notes == ()
    assert again.title == "caf?.jpg"
    provenance = again.layers[2].edit.provenance
    assert (provenance["psnr"], provenance["best"], provenance["threads"]) == (None, None, 2)


def test_a_picture_with_an_invalid_name_can_be_opened_and_saved(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    Image.new("RGB", (4, 4)).save(path)
    save_project(open_image(path), tmp_path / "project.ora")
    assert len(open_project(tmp_path / "project.ora").layers) == 1


def test_saving_changes_nothing_in_the_document(rich_document, tmp_path):
    before = [(layer.name, layer.pixels.copy(), layer.edit) for layer in rich_document.layers]
    recipe = asdict(rich_document.layers[2].edit)["provenance"]
    save_project(rich_document, tmp_path / "project.ora")
    for layer, (name, pixels, edit) in zip(rich_document.layers, before, strict=True):
        assert layer.name == name
        assert_array_equal(layer.pixels, pixels)
        assert layer.edit is edit
    assert rich_document.layers[2].edit.provenance == recipe


def test_what_is_no_project_is_refused(tmp_path):
    with pytest.raises(InputError, match="no file"):
        open_project(tmp_path / "absent.ora")
    for data in (b"", b"hello", b"PK\5\6" + bytes(18), b"PK\3\4" + bytes(100)):
        path = tmp_path / "bad.ora"
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"bad\.ora"):
            open_project(path)
