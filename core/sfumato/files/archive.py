"""A zip archive from a stranger, read entry by entry within limits; nothing is ever extracted to disk."""

from __future__ import annotations

import io
import zipfile
from typing import BinaryIO

import numpy as np

from sfumato.errors import InputError
from sfumato.files.decoding import Decoded, decode, open_header
from sfumato.method import Mask

MAX_ENTRIES = 4096
MAX_TOTAL_BYTES = 2 * 2**30
MAX_TOTAL_PIXELS = 600_000_000
MAX_RATIO = 100
"""Compression beyond this is a bomb: pictures in here are PNGs, which do not shrink again."""
RATIO_FREE_BYTES = 2**20


class Archive:
    """An open archive with a budget of bytes and pixels. Names are looked up inside it and nowhere else.

    Raises `InputError` if a limit is passed or a name is missing; damage comes as the decoders' own errors,
    so read it inside `decoding.reading`.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._name = name
        self._zip = zipfile.ZipFile(file)
        self._bytes_left = MAX_TOTAL_BYTES
        self._pixels_left = MAX_TOTAL_PIXELS
        names = self._zip.namelist()
        if len(names) > MAX_ENTRIES:
            raise InputError(f"{name} holds {len(names)} parts; the limit is {MAX_ENTRIES}.")
        if len(set(names)) < len(names):
            raise InputError(f"{name} holds two parts of the same name and cannot be trusted.")
        self._names = frozenset(names)

    def __contains__(self, entry: str) -> bool:
        return entry in self._names

    def read(self, entry: str, cap: int = MAX_TOTAL_BYTES) -> bytes:
        """Return an entry of at most `cap` bytes, whatever its header says about its size."""
        if entry not in self._names:
            raise InputError(f"{self._name} is incomplete: {entry[:200]!r} is missing.")
        info = self._zip.getinfo(entry)
        cap = min(cap, self._bytes_left)
        if info.file_size > cap or info.file_size > MAX_RATIO * info.compress_size + RATIO_FREE_BYTES:
            raise self._too_large(entry)
        with self._zip.open(info) as part:
            data = part.read(cap + 1)
        if len(data) > cap:
            raise self._too_large(entry)
        self._bytes_left -= len(data)
        return data

    def picture(self, entry: str) -> Decoded:
        """Decode a PNG entry to RGBA8."""
        image = open_header(io.BytesIO(self.read(entry)), entry, ("PNG",))
        self._charge(image.size)
        return decode(image)

    def mask(self, entry: str, size: tuple[int, int]) -> Mask:
        """Decode a PNG entry to a mask of (width, height)."""
        image = open_header(io.BytesIO(self.read(entry)), entry, ("PNG",))
        self._charge(image.size)
        if image.size != size:
            raise InputError(f"{self._name} is damaged: the mask {entry!r} is not of the picture's size.")
        return np.array(image.convert("L"))

    def _charge(self, size: tuple[int, int]) -> None:
        self._pixels_left -= size[0] * size[1]
        if self._pixels_left < 0:
            limit = MAX_TOTAL_PIXELS // 10**6
            raise InputError(f"{self._name} is too large: its pictures come to more than {limit} megapixels.")

    def _too_large(self, entry: str) -> InputError:
        return InputError(f"{self._name} is too large to open: {entry[:200]!r} unpacks to more than it may.")
