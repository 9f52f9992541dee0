"""Project files that mean harm, each refused in one sentence before it does any."""

import io
import struct
import tracemalloc
import warnings
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from sfumato.errors import InputError, SfumatoError
from sfumato.files import archive as limits
from sfumato.files.openraster import open_project, save_project

STACK = '<image version="0.0.5" w="{w}" h="{h}"><stack>{layers}</stack></image>'
LAYER = '<layer name="a" src="{src}" x="{x}" y="{y}" opacity="{opacity}"/>'


def png(width=4, height=4, mode="RGBA") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


def stack(*, w="4", h="4", src="data/a.png", x="0", y="0", opacity="1", layers=None) -> str:
    return STACK.format(w=w, h=h, layers=layers or LAYER.format(src=src, x=x, y=y, opacity=opacity))


def project(path, xml, entries=None, *, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("mimetype", "image/openraster")
        archive.writestr("stack.xml", xml)
        for name, data in ({"data/a.png": png()} if entries is None else entries).items():
            archive.writestr(name, data)
    return path


def refused(path, match):
    with pytest.raises(InputError, match=match):
        open_project(path)


def test_the_tame_one_opens(tmp_path):
    assert len(open_project(project(tmp_path / "p.ora", stack())).layers) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"w": "0"},
        {"h": "-5"},
        {"w": "60000", "h": "60000"},
        {"w": "9" * 5000},
        {"w": "NaN"},
        {"x": "999999999999"},
        {"y": "-1000001"},
        {"x": "1.5"},
        {"opacity": "nan"},
        {"opacity": "inf"},
        {"opacity": "-1"},
        {"src": "missing.png"},
        {"src": "../../../etc/passwd"},
        {"src": "/etc/passwd"},
        {"src": "C:\\\\windows\\\\win.ini"},
        {"src": "stack.xml"},
        {"src": ""},
        {"layers": "<layer/>"},
    ],
)
def test_lies_in_the_stack(change, tmp_path):
    refused(project(tmp_path / "p.ora", stack(**change)), r"\.$")


def test_layers_far_outside_the_canvas_cost_nothing(tmp_path):
    layers = LAYER.format(src="data/a.png", x=900_000, y=-900_000, opacity=1)
    document = open_project(project(tmp_path / "p.ora", stack(layers=layers)))
    assert document.layers[0].box == (900_000, -900_000, 900_004, -899_996)


@pytest.mark.parametrize(
    "xml",
    [
        "",
        "<image",
        "<image w='4' h='4'/>",
        "<other w='4' h='4'><stack/></other>",
        '<!DOCTYPE image SYSTEM "file:///etc/passwd">' + stack(),
        '<!DOCTYPE a [<!ENTITY a "'
        + "a" * 1000
        + '"><!ENTITY b "'
        + "&a;" * 1000
        + '">]>'
        + stack(src="&b;"),
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + stack(src="&x;"),
        stack(layers="<stack>" * 5000 + "</stack>" * 5000),
        stack(layers="<stack>" * 40 + "</stack>" * 40),
        stack(layers=LAYER.format(src="data/a.png", x=0, y=0, opacity=1) * 1001),
        stack() + " " * 2**20,
    ],
)
def test_hostile_xml(xml, tmp_path):
    refused(project(tmp_path / "p.ora", xml), r"\.$")


def test_an_archive_of_too_many_parts(tmp_path):
    entries = {f"part{number}": b"" for number in range(limits.MAX_ENTRIES)}
    refused(project(tmp_path / "p.ora", stack(), entries), "parts")


def test_two_parts_of_the_same_name(tmp_path):
    path = project(tmp_path / "p.ora", stack())
    with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("data/a.png", png(mode="L"))
    refused(path, "same name")


def test_a_zip_bomb_is_refused_before_it_unfolds(tmp_path):
    path = project(
        tmp_path / "p.ora", stack(), {"data/a.png": bytes(300 * 2**20)}, compression=zipfile.ZIP_DEFLATED
    )
    tracemalloc.start()
    refused(path, "too large")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * 2**20


def test_a_png_bomb_is_refused_by_its_header(tmp_path):
    header = b"IHDR" + struct.pack(">IIBBBBB", 60000, 60000, 8, 6, 0, 0, 0)
    body = b"IDAT" + zlib.compress(bytes(1000))
    bomb = b"\x89PNG\r\n\x1a\n"
    for chunk in (header, body):
        bomb += struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    refused(project(tmp_path / "p.ora", stack(), {"data/a.png": bomb}), "too large")


def test_many_fair_pictures_that_are_too_much_together(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "MAX_TOTAL_PIXELS", 100)
    many = LAYER.format(src="data/a.png", x=0, y=0, opacity=1) * 7
    refused(project(tmp_path / "p.ora", stack(layers=many)), "megapixels")


def test_many_fair_parts_that_are_too_much_together(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "MAX_TOTAL_BYTES", 1000)
    many = LAYER.format(src="data/a.png", x=0, y=0, opacity=1) * 20
    refused(project(tmp_path / "p.ora", stack(layers=many)), "too large")


@pytest.mark.parametrize("claimed", [1, 10, 2**31, 2**32 - 2])
def test_a_header_that_lies_about_a_size(claimed, tmp_path):
    path = project(tmp_path / "p.ora", stack(), compression=zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\1\2")  # the last entry of the central directory: the picture
    struct.pack_into("<I", data, at + 24, claimed)
    path.write_bytes(data)
    refused(path, r"\.$")


def test_a_picture_that_is_something_else(tmp_path):
    gif = io.BytesIO()
    Image.new("P", (4, 4)).save(gif, "GIF")
    jpeg = io.BytesIO()
    Image.new("RGB", (4, 4)).save(jpeg, "JPEG")
    for data in (gif.getvalue(), jpeg.getvalue(), b"", png()[:40]):
        refused(project(tmp_path / "p.ora", stack(), {"data/a.png": data}), r"\.$")


@pytest.mark.parametrize("part", ["sfumato/mask.png", "sfumato/edits/002/mask.png"])
def test_a_mask_of_another_size(part, rich_document, tmp_path):
    path = tmp_path / "p.ora"
    save_project(rich_document, path)
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, png(69, 50, "L") if name == part else data)
    refused(path, "mask")


def test_truncated_projects(rich_document, tmp_path):
    path = tmp_path / "p.ora"
    save_project(rich_document, path)
    whole = path.read_bytes()
    for length in np.linspace(0, len(whole) - 1, 40).astype(int):
        path.write_bytes(whole[:length])
        refused(path, r"\.$")


@pytest.mark.parametrize("seed", range(3))
def test_damaged_projects_open_or_are_refused_and_nothing_else(seed, rich_document, damaged, tmp_path):
    path = tmp_path / "p.ora"
    save_project(rich_document, path)
    opened = refusals = 0
    for broken in damaged(path.read_bytes(), 150, seed):
        path.write_bytes(broken)
        try:
            document = open_project(path)
        except SfumatoError:
            refusals += 1
        else:
            opened += 1
            assert document.width >= 1
    assert refusals > 50
    assert opened + refusals == 150
    assert [entry.name for entry in tmp_path.iterdir()] == ["p.ora"]


@pytest.mark.parametrize("part", ["stack.xml", "sfumato/document.json", "data/layer000.png"])
def test_damaged_parts_in_a_sound_archive(part, rich_document, damaged, tmp_path):
    path = tmp_path / "p.ora"
    save_project(rich_document, path)
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    for broken in damaged(entries[part], 100, seed=5):
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in entries.items():
                archive.writestr(name, broken if name == part else data)
        try:
            document = open_project(path)
        except SfumatoError:
            continue
        assert all(layer.pixels.dtype == np.uint8 for layer in document.layers)
