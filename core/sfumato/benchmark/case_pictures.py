"""The pictures of cases, of which the results keep copies, so that their pages outlive the cases."""

from __future__ import annotations

from pathlib import Path

from sfumato.benchmark.cases import Case, Pictures, load_pictures
from sfumato.benchmark.results import Results, place_of

_REMEMBERED = 8
"""Cases whose pictures are kept in memory."""


class CasePictures:
    """Each is read once, as long as its neighbours are asked for."""

    def __init__(self, results: Results) -> None:
        self._results = results
        self._kept: dict[str, Pictures] = {}

    def of(self, case: Case) -> Pictures:
        """Raises `InputError` if one is damaged or gone, `StorageError` if its copy cannot be kept."""
        if case.id not in self._kept:
            self._kept[case.id] = load_pictures(case)
            for path, name in zip((case.picture, case.truth), copies(case), strict=True):
                if path is not None and not _same(path, self._results.folder / name):
                    self._results.write(name, path.read_bytes())
            while len(self._kept) > _REMEMBERED:
                del self._kept[next(iter(self._kept))]
        return self._kept[case.id]


def copies(case: Case) -> tuple[str, str]:
    """Where in a folder of results the picture of a case and its true edit are."""
    names = ("source", case.picture), ("truth", case.truth or case.picture)
    source, truth = (place_of(case.id, f"{name}{path.suffix.lower()}") for name, path in names)
    return source, truth


def _same(path: Path, copy: Path) -> bool:
    return copy.exists() and copy.read_bytes() == path.read_bytes()
