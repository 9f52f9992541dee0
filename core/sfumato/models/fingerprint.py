"""What a model is, by its content: SHA-256 of everything a load reads, computed once per file."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path

from sfumato.errors import StorageError
from sfumato.files.atomic import write_atomically

log = logging.getLogger(__name__)

_CHUNK = 4 * 1024**2


class Fingerprints:
    """Digests of files by (path, size, time of change), so that a second start need not read them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._kept = self._read()

    def of(self, files: Mapping[str, Path]) -> Iterator[str | None]:
        """Yield None after each chunk read, and at last the digest of the files and of their names."""
        whole, known = hashlib.sha256(), len(self._kept)
        for name, file in files.items():
            digest = yield from self._of_file(file)
            whole.update(f"{name} {digest}\n".encode())
        if len(self._kept) > known:
            self._write()
        yield whole.hexdigest()

    def of_file(self, file: Path) -> str:
        """The SHA-256 of one file, its name left out."""
        known, steps = len(self._kept), self._of_file(file)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                if len(self._kept) > known:
                    self._write()
                return end.value

    def _of_file(self, file: Path) -> Generator[None, None, str]:
        stat = file.stat()
        key = f"{file.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"
        if key not in self._kept:
            digest = hashlib.sha256()
            with file.open("rb") as opened:
                while chunk := opened.read(_CHUNK):
                    digest.update(chunk)
                    yield None
            self._kept[key] = digest.hexdigest()
        return self._kept[key]

    def _read(self) -> dict[str, str]:
        try:
            kept = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return kept if isinstance(kept, dict) else {}

    def _write(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with write_atomically(self.path) as file:
                file.write(json.dumps(self._kept, indent=0).encode())
        except (OSError, StorageError) as error:
            log.warning("Digests are not kept: %s", error)
