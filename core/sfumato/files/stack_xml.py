"""OpenRaster's stack.xml: the layer stack as every program that knows the format reads it.

Baseline specification 0.0.5: https://www.openraster.org/baseline/layer-stack-spec.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, tostring

from defusedxml import ElementTree

from sfumato.errors import InputError
from sfumato.files.decoding import MAX_PIXELS, MAX_SIDE

MAX_LAYERS = 1000
MAX_DEPTH = 32
MAX_OFFSET = 1_000_000
NORMAL = "svg:src-over"

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class StackLayer:
    """One picture of the stack: the entry it lies in, and how it is laid down."""

    src: str
    name: str
    left: int
    top: int
    opacity: float
    visible: bool
    blend: str = NORMAL


@dataclass(frozen=True)
class Stack:
    """A canvas and its layers, bottom first."""

    width: int
    height: int
    layers: tuple[StackLayer, ...]
    grouped: bool = False
    """Whether groups were dissolved into their layers."""


def plain_name(name: str) -> str:
    """Return a name without the characters XML cannot hold."""
    return _NOT_XML.sub("\ufffd", name)


def write_stack(stack: Stack) -> bytes:
    """Return the stack as XML, topmost layer first as the format wants it."""
    image = Element("image", version="0.0.5", w=str(stack.width), h=str(stack.height), xres="72", yres="72")
    root = SubElement(image, "stack")
    for layer in reversed(stack.layers):
        SubElement(
            root,
            "layer",
            {
                "name": plain_name(layer.name),
                "src": layer.src,
                "x": str(layer.left),
                "y": str(layer.top),
                "opacity": repr(layer.opacity),
                "visibility": "visible" if layer.visible else "hidden",
                "composite-op": layer.blend,
            },
        )
    return tostring(image, encoding="UTF-8", xml_declaration=True)


def read_stack(xml: bytes) -> Stack:
    """Parse a stranger's stack. Raises `InputError` beyond the limits, and what parsers raise on damage."""
    image = ElementTree.fromstring(xml, forbid_dtd=True)
    width, height = int(image.attrib["w"]), int(image.attrib["h"])
    if width < 1 or height < 1 or max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise InputError(f"The project's canvas of {width} x {height} pixels is beyond what Sfumato opens.")
    root = image.find("stack")
    if image.tag != "image" or root is None:
        raise InputError("The project's stack.xml does not describe a layer stack.")
    layers = tuple(_layers(root, _Group(), MAX_DEPTH))
    if len(layers) > MAX_LAYERS:
        raise InputError(f"The project has {len(layers)} layers; the limit is {MAX_LAYERS}.")
    return Stack(width, height, layers[::-1], grouped=root.find(".//stack") is not None)


@dataclass(frozen=True)
class _Group:
    left: int = 0
    top: int = 0
    opacity: float = 1.0
    visible: bool = True

    def inside(self, element: Element) -> _Group:
        """What holds within an element of this group."""
        return _Group(
            self.left + _offset(element, "x"),
            self.top + _offset(element, "y"),
            self.opacity * _opacity(element),
            self.visible and element.get("visibility", "visible") != "hidden",
        )


def _layers(stack: Element, group: _Group, depth: int) -> Iterator[StackLayer]:
    """Yield the layers of a stack and of the stacks within, topmost first."""
    if depth == 0:
        raise InputError(f"The project's layer groups lie more than {MAX_DEPTH} deep.")
    for element in stack:
        if element.tag not in ("layer", "stack"):
            continue
        own = group.inside(element)
        if element.tag == "stack":
            yield from _layers(element, own, depth - 1)
        else:
            yield StackLayer(
                src=element.attrib["src"],
                name=element.get("name", ""),
                left=own.left,
                top=own.top,
                opacity=own.opacity,
                visible=own.visible,
                blend=element.get("composite-op", NORMAL),
            )


def _offset(element: Element, axis: str) -> int:
    value = int(element.get(axis, "0"))
    if abs(value) > MAX_OFFSET:
        raise InputError("A layer of the project lies absurdly far outside the canvas.")
    return value


def _opacity(element: Element) -> float:
    value = float(element.get("opacity", "1"))
    if not 0 <= value <= 1:
        raise InputError("A layer of the project has an opacity that is not between 0 and 1.")
    return value
