"""The recipe inside a picture: an iTXt chunk in PNG, an XMP packet in JPEG, WebP and TIFF."""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import escape

from defusedxml import ElementTree
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from sfumato.files.recipe import SavedRecipe

KEY = "sfumato"
NAMESPACE = "https://sfumato.invalid/ns/1/"
MAX_XMP_BYTES = 65_000
"""A JPEG segment holds no more."""

_PACKET = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:sfumato="{namespace}"><sfumato:recipe>{recipe}</sfumato:recipe>'
    '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)


def embedding(saved: SavedRecipe, file_format: str) -> dict[str, Any]:
    """Return the options of Pillow's `save` that put a recipe into a file of this format.

    What does not fit is left out, the mask first: a JPEG holds 64 kB.
    """
    if file_format == "PNG":
        info = PngInfo()
        info.add_itxt(KEY, saved.to_json(), zip=True)
        return {"pnginfo": info}
    for candidate in (saved, saved.model_copy(update={"mask": None})):
        packet = _PACKET.format(namespace=NAMESPACE, recipe=escape(candidate.to_json())).encode()
        if len(packet) <= MAX_XMP_BYTES:
            return {"xmp": packet}
    return {}


def extract(image: Image.Image) -> str | None:
    """Return the recipe's JSON from an opened picture; None if it carries none."""
    text = image.info.get(KEY)
    if isinstance(text, str):
        return text
    packet = image.info.get("xmp")
    if not isinstance(packet, bytes) or NAMESPACE.encode() not in packet:
        return None
    found = ElementTree.fromstring(packet.rstrip(b"\0")).find(f".//{{{NAMESPACE}}}recipe")
    return None if found is None else found.text
