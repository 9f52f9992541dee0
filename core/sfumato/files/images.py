"""Opening pictures upright with all they carry, and exporting the flattened document."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from sfumato.document.compositor import fingerprint, flatten
from sfumato.document.layers import Document, Layer
from sfumato.errors import InputError
from sfumato.files.atomic import write_atomically
from sfumato.files.decoding import decode, open_file, open_header, reading, to_eight_bits
from sfumato.files.metadata import embedding, extract
from sfumato.files.recipe import SavedRecipe
from sfumato.method import Mask, Pixels

FORMAT_OF = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
MAX_WEBP_SIDE = 16_383
MAX_JPEG_EXIF = 65_533

_UPRIGHT: dict[int, Callable[[Pixels], Pixels]] = {
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: np.rot90(p, 2).transpose(1, 0, 2),
    8: lambda p: np.rot90(p),
}
"""What the EXIF orientations ask for."""

_PHOTOGRAPH_TAGS = (
    ExifTags.Base.ImageDescription,
    ExifTags.Base.Make,
    ExifTags.Base.Model,
    ExifTags.Base.Software,
    ExifTags.Base.DateTime,
    ExifTags.Base.Artist,
    ExifTags.Base.Copyright,
    ExifTags.Base.XResolution,
    ExifTags.Base.YResolution,
    ExifTags.Base.ResolutionUnit,
    ExifTags.Base.ExifOffset,
    ExifTags.Base.GPSInfo,
)
"""The tags of a TIFF that speak of the photograph; the others describe how that one file is laid out."""


def open_image(source: Path | str | bytes) -> Document:
    """Open a picture as a document of one layer, upright, in its own profile.

    Raises `InputError` if there is no such file, or it is no picture, damaged, or beyond the limits.
    """
    if isinstance(source, bytes):
        return _read(io.BytesIO(source), "The picture", None)
    path = Path(source)
    with open_file(path) as file:
        return _read(file, path.name, path)


def _read(file: Any, name: str, path: Path | None) -> Document:
    with reading(name):
        image = open_header(file, name)
        notes = _frame_notes(image)
        decoded = decode(image)
        orientation, exif, exif_notes = _read_exif(image)
    pixels = np.ascontiguousarray(_UPRIGHT.get(orientation, lambda p: p)(decoded.pixels))
    return Document(
        width=pixels.shape[1],
        height=pixels.shape[0],
        layers=[Layer("Background", pixels)],
        profile=decoded.profile,
        exif=exif,
        title=name if path else "",
        source_path=path,
        notes=notes + decoded.notes + exif_notes,
    )


def _frame_notes(image: Image.Image) -> tuple[str, ...]:
    frames = getattr(image, "n_frames", 1)
    if frames < 2 or image.format == "MPO":  # an MPO is a photograph with previews, or its stereo twin
        return ()
    if image.format == "TIFF":
        return (f"It has {frames} pages; the first was opened.",)
    return ("It is animated; its first frame was opened.",)


def _read_exif(image: Image.Image) -> tuple[int, bytes | None, tuple[str, ...]]:
    """Return orientation, the EXIF block without it, and notes."""
    try:
        exif = image.getexif()
        orientation = int(exif.pop(ExifTags.Base.Orientation, 1))
        if image.format == "TIFF":
            exif = _photograph_only(exif)
        return orientation, exif.tobytes() if len(exif) else None, ()
    except Exception:  # as many kinds as there are ways to damage it; the picture itself is fine
        return 1, None, ("Its EXIF data is damaged and was left out.",)


def _photograph_only(exif: Image.Exif) -> Image.Exif:
    kept = Image.Exif()
    for tag in _PHOTOGRAPH_TAGS:
        if tag in (ExifTags.Base.ExifOffset, ExifTags.Base.GPSInfo):
            value = exif.get_ifd(tag)
        else:
            value = exif.get(tag)
        if value:
            kept[tag] = value
    return kept


def open_mask(path: Path | str, size: tuple[int, int]) -> Mask:
    """Read a mask for a (width, height) document: white and opaque may change, black or transparent must not.

    Raises `InputError` if it cannot be read or has another size.
    """
    path = Path(path)
    with open_file(path) as file, reading(path.name):
        image = to_eight_bits(open_header(file, path.name))
        coloured = image.convert("RGBA")
        light = np.asarray(coloured.convert("RGB").convert("L"), np.uint16)
        alpha = np.asarray(coloured.getchannel("A"), np.uint16)
    if image.size != size:
        raise InputError(
            f"The mask {path.name} is {image.size[0]} x {image.size[1]} pixels, "
            f"but the picture is {size[0]} x {size[1]}."
        )
    return ((light * alpha + 127) // 255).astype(np.uint8)


def read_recipe(path: Path | str) -> SavedRecipe | None:
    """Return the recipe an exported picture carries, or None. Raises `InputError`."""
    path = Path(path)
    with open_file(path) as file, reading(path.name):
        text = extract(open_header(file, path.name))
        return None if text is None else SavedRecipe.from_json(text, f"The recipe in {path.name}")


def export_image(document: Document, path: Path | str, *, quality: int = 95, recipe: bool = True) -> None:
    """Write the flattened document as PNG, JPEG, WebP or TIFF, chosen by the ending of the name.

    Profile and EXIF go along; so does, if `recipe`, the request of the topmost visible edit layer. JPEG knows
    no alpha: it is laid over white. `quality` is that of JPEG and WebP; WebP at 100 is lossless. Raises
    `InputError` for other endings, `StorageError` if the place cannot be written.
    """
    path = Path(path)
    file_format = FORMAT_OF.get(path.suffix.lower())
    if file_format is None:
        raise InputError(
            f"Sfumato cannot export '{path.suffix or path.name}' files.",
            advice="End the name in .png, .jpg, .webp or .tif.",
        )
    if file_format == "WEBP" and max(document.width, document.height) > MAX_WEBP_SIDE:
        raise InputError(f"WebP takes at most {MAX_WEBP_SIDE} pixels a side.", advice="Export PNG or TIFF.")
    image = _flat_image(document, opaque=file_format == "JPEG")
    options = _options(file_format, quality) | _carried(document, file_format)
    saved = newest_recipe(document) if recipe else None
    if saved is not None:
        options |= embedding(saved, file_format)
    if file_format == "TIFF":
        options = _tiff_tags(options)
    with write_atomically(path) as file:
        image.save(file, file_format, **options)


def _flat_image(document: Document, *, opaque: bool) -> Image.Image:
    pixels = flatten(document)
    flat = Image.fromarray(pixels)
    if pixels[..., 3].min() == 255:
        return flat.convert("RGB")
    return (
        Image.alpha_composite(Image.new("RGBA", flat.size, "white"), flat).convert("RGB") if opaque else flat
    )


def _options(file_format: str, quality: int) -> dict[str, Any]:
    options: dict[str, dict[str, Any]] = {
        "PNG": {"compress_level": 4},
        "JPEG": {"quality": quality, "subsampling": 0 if quality >= 90 else 2, "optimize": True},
        "WEBP": {"quality": quality, "lossless": quality >= 100, "exact": True},
        "TIFF": {"compression": "raw"},  # with libtiff's compressors Pillow cannot write EXIF
    }
    return options[file_format]


def _carried(document: Document, file_format: str) -> dict[str, Any]:
    carried: dict[str, Any] = {}
    if document.profile is not None:
        carried["icc_profile"] = document.profile
    if document.exif is not None and (file_format != "JPEG" or len(document.exif) <= MAX_JPEG_EXIF):
        carried["exif"] = document.exif
    return carried


def _tiff_tags(options: dict[str, Any]) -> dict[str, Any]:
    """In a TIFF both EXIF and XMP are tags of the picture itself."""
    exif = Image.Exif()
    exif.load(options.pop("exif", b""))
    tags = _photograph_only(exif)
    if "xmp" in options:
        tags[ExifTags.Base.XMLPacket] = options.pop("xmp")
    return options | {"exif": tags}


def newest_recipe(document: Document) -> SavedRecipe | None:
    """The request of the topmost visible edit layer, and what it was used on; None if there is none."""
    for layer in reversed(document.layers):
        if layer.edit is not None and layer.visible:
            source = fingerprint(flatten(document, below=layer.id))
            return SavedRecipe.of(layer.edit, source)
    return None
