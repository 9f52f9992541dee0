"""Projects: OpenRaster files any program can open, with what only Sfumato knows under `sfumato/`."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sfumato.document.compositor import flatten
from sfumato.document.layers import Document, EditInfo, Layer
from sfumato.errors import InputError
from sfumato.files.archive import Archive
from sfumato.files.atomic import write_atomically
from sfumato.files.decoding import open_file, reading
from sfumato.files.project_extras import ENTRY, Extras, SavedEdit, SavedLayer, read_extras, storable
from sfumato.files.stack_xml import NORMAL, Stack, StackLayer, plain_name, read_stack, write_stack

MIMETYPE = b"image/openraster"
MAX_XML_BYTES = 2**20
THUMBNAIL = (256, 256)


def save_project(document: Document, path: Path | str) -> None:
    """Write a document as an OpenRaster project; it comes back from `open_project` bit for bit.

    Raises `StorageError`; the file that was there before then is untouched.
    """
    with (
        write_atomically(Path(path)) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive,
    ):
        writer = _Writer(archive, document.profile)
        writer.entry("mimetype", MIMETYPE)  # first and stored: how the format is recognised
        sources = tuple(f"data/layer{number:03}.png" for number in range(len(document.layers)))
        layers = zip(sources, document.layers, strict=True)
        stack = tuple(
            StackLayer(src, layer.name, layer.left, layer.top, layer.opacity, layer.visible)
            for src, layer in layers
        )
        writer.entry("stack.xml", write_stack(Stack(document.width, document.height, stack)))
        for src, layer in zip(sources, document.layers, strict=True):
            writer.picture(src, layer.pixels)
        _write_previews(writer, flatten(document))
        extras = _write_extras(writer, document, sources)
        writer.entry(ENTRY, extras.to_json())


class _Writer:
    """Entries of the archive, dated alike, so that the same document gives the same bytes."""

    def __init__(self, archive: zipfile.ZipFile, profile: bytes | None) -> None:
        self._archive = archive
        self._profile = profile

    def entry(self, name: str, data: bytes) -> str:
        self._archive.writestr(zipfile.ZipInfo(name), data)
        return name

    def picture(self, name: str, pixels: NDArray[np.uint8]) -> str:
        """Write RGBA pixels or a mask as PNG; fast rather than small."""
        buffer = io.BytesIO()
        profile = self._profile if pixels.ndim == 3 else None
        Image.fromarray(pixels).save(buffer, "PNG", compress_level=1, icc_profile=profile)
        return self.entry(name, buffer.getvalue())


def _write_previews(writer: _Writer, merged: NDArray[np.uint8]) -> None:
    writer.picture("mergedimage.png", merged)
    thumbnail = Image.fromarray(merged)
    thumbnail.thumbnail(THUMBNAIL)
    writer.picture("Thumbnails/thumbnail.png", np.asarray(thumbnail))


def _write_extras(writer: _Writer, document: Document, sources: tuple[str, ...]) -> Extras:
    layers: list[SavedLayer] = []
    for number, (src, layer) in enumerate(zip(sources, document.layers, strict=True)):
        edit = None if layer.edit is None else _write_edit(writer, layer, layer.edit, number)
        layers.append(SavedLayer(src=src, id=layer.id, name=storable(layer.name), edit=edit))
    mask, profile, exif = document.mask, document.profile, document.exif
    return Extras(
        title=storable(document.title),
        recipe=document.recipe,
        mask=None if mask is None else writer.picture("sfumato/mask.png", mask),
        profile=None if profile is None else writer.entry("sfumato/profile.icc", profile),
        exif=None if exif is None else writer.entry("sfumato/exif.bin", exif),
        layers=tuple(layers),
    )


def _write_edit(writer: _Writer, layer: Layer, edit: EditInfo, number: int) -> SavedEdit:
    folder = f"sfumato/edits/{number:03}"
    candidates = tuple(
        f"data/layer{number:03}.png"  # the one that is shown lies there already
        if np.array_equal(candidate, layer.pixels)
        else writer.picture(f"{folder}/candidate{index:02}.png", candidate)
        for index, candidate in enumerate(edit.candidates)
    )
    mask = None if edit.mask is None else writer.picture(f"{folder}/mask.png", edit.mask)
    return SavedEdit(
        recipe=edit.recipe,
        mask=mask,
        provenance=edit.provenance,
        candidates=candidates,
        chosen=edit.chosen,
        below=edit.below,
    )


def open_project(path: Path | str) -> Document:
    """Open an OpenRaster file, of Sfumato or of another program.

    Extras of a newer version are passed over: the layers come as plain pictures, and `notes` says so.
    Raises `InputError` if the file is missing, damaged, hostile or beyond the limits; nothing is half-opened.
    """
    path = Path(path)
    with open_file(path) as file, reading(path.name, "project"):
        archive = Archive(file, path.name)
        stack = read_stack(archive.read("stack.xml", MAX_XML_BYTES))
        extras, notes = read_extras(archive)
        return _document(archive, stack, extras or Extras(), path, notes)


def _document(archive: Archive, stack: Stack, extras: Extras, path: Path, notes: tuple[str, ...]) -> Document:
    known = {saved.src: saved for saved in extras.layers}
    layers: list[Layer] = []
    profile = None if extras.profile is None else archive.read(extras.profile)
    for place in stack.layers:
        decoded = archive.picture(place.src)
        if not extras.layers and profile is None:
            profile = decoded.profile
        layers.append(_layer(archive, stack, place, decoded.pixels, known.get(place.src)))
    return Document(
        width=stack.width,
        height=stack.height,
        layers=layers,
        mask=None if extras.mask is None else archive.mask(extras.mask, (stack.width, stack.height)),
        profile=profile,
        exif=None if extras.exif is None else archive.read(extras.exif),
        title=extras.title or path.name,
        recipe=extras.recipe,
        source_path=path,
        notes=notes + _stack_notes(stack),
    )


def _layer(
    archive: Archive, stack: Stack, place: StackLayer, pixels: NDArray[np.uint8], saved: SavedLayer | None
) -> Layer:
    layer = Layer(place.name, pixels, place.left, place.top, place.visible, place.opacity)
    if saved is None:
        return layer
    layer.id = saved.id
    if plain_name(saved.name) == place.name:  # else another program has renamed it
        layer.name = saved.name
    if saved.edit is not None:
        layer.edit = _edit(archive, stack, layer, place.src, saved.edit)
    return layer


def _edit(archive: Archive, stack: Stack, layer: Layer, src: str, saved: SavedEdit) -> EditInfo:
    candidates = tuple(
        layer.pixels if name == src else archive.picture(name).pixels for name in saved.candidates
    )
    if candidates and not 0 <= saved.chosen < len(candidates):
        raise InputError("The project is damaged: a layer shows a candidate it does not have.")
    mask = None if saved.mask is None else archive.mask(saved.mask, (stack.width, stack.height))
    return EditInfo(saved.recipe, mask, dict(saved.provenance), candidates, saved.chosen, saved.below)


def _stack_notes(stack: Stack) -> tuple[str, ...]:
    notes: list[str] = []
    if stack.grouped:
        notes.append("It has layer groups; their layers were opened one by one.")
    foreign = sorted({layer.blend for layer in stack.layers} - {NORMAL})
    if foreign:
        notes.append(f"Blend modes that are not known here are shown as normal: {', '.join(foreign)[:200]}.")
    return tuple(notes)
