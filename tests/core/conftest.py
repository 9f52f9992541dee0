"""Colour profiles that Pillow cannot make, built by hand: ICC 2 matrix profiles."""

import struct

import pytest

D50 = (0.9642, 1.0, 0.8249)


def matrix_profile(primaries: dict[str, tuple[float, float, float]], gamma: float, name: str) -> bytes:
    """An ICC v2 display profile; primaries are XYZ adapted to D50 (ICC.1:2001-04)."""

    def xyz(value: tuple[float, float, float]) -> bytes:
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(part * 65536) for part in value))

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))
    text = name.encode() + b"\0"
    description = b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(4 + 4 + 2 + 1 + 67)
    tags = {b"desc": description, b"cprt": b"text\0\0\0\0CC0\0", b"wtpt": xyz(D50)}
    for letter, primary in primaries.items():
        tags[letter.encode() + b"XYZ"] = xyz(primary)
        tags[letter.encode() + b"TRC"] = curve
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for tag, data in tags.items():
        table += tag + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    size = start + len(body)
    header = struct.pack(">I4sI4s4s4s", size, b"lcms", 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    header += struct.pack(">6H4s", 2020, 1, 1, 0, 0, 0, b"acsp") + bytes(28)
    header += struct.pack(">3i", *(round(part * 65536) for part in D50))
    return header + bytes(128 - len(header)) + table + body


@pytest.fixture(scope="session")
def display_p3() -> bytes:
    primaries = {
        "r": (0.51512, 0.24120, -0.00105),
        "g": (0.29198, 0.69225, 0.04189),
        "b": (0.15710, 0.06657, 0.78407),
    }
    return matrix_profile(primaries, 2.2, "Display P3, simplified")


@pytest.fixture(scope="session")
def adobe_rgb() -> bytes:
    primaries = {
        "r": (0.60974, 0.31111, 0.01947),
        "g": (0.20528, 0.62567, 0.06087),
        "b": (0.14919, 0.06322, 0.74457),
    }
    return matrix_profile(primaries, 2.19921875, "Adobe RGB compatible")
