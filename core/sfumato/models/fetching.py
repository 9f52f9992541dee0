"""The one program that may use the network: a process of its own, started when a person asks for a download.

    python -m sfumato.models.fetching plan REPO REVISION
    python -m sfumato.models.fetching fetch FOLDER < files.json

It answers in lines of JSON: {"plan": ...}, {"bytes": n} now and then, {"done": true} or {"error": kind}.
The program that starts it stays offline, checks what arrived, and decides where it goes.
"""

from __future__ import annotations

import errno
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from huggingface_hub import HfApi, constants, hf_hub_url
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import build_hf_headers

PART = ".part"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_TELL_EVERY = 0.1
_CHUNK = 64 * 1024
"""Bytes that are lost at most when the line breaks; the library's own 10 MB are much on a bad one."""


def plan(repo: str, revision: str) -> dict[str, Any]:
    """What the hub says of a repository: its commit, and of each file size and checksum."""
    info = HfApi().model_info(repo, revision=revision, files_metadata=True)
    files = [
        {
            "name": file.rfilename,
            "bytes": file.size or 0,
            "sha256": file.lfs.sha256 if file.lfs else "",
            "blob": file.blob_id or "",
        }
        for file in info.siblings or ()
    ]
    return {"commit": info.sha, "files": files}


def fetch(folder: Path, repo: str, commit: str, files: list[dict[str, Any]]) -> None:
    """Bring the files into the folder, going on where an earlier attempt was cut off."""
    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    told = _Told()
    for file in files:
        target = folder / file["name"]
        if target.exists():
            told.more(file["bytes"])
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(target.name + PART)
        with part.open("ab") as opened:
            have = opened.tell()
            if have > file["bytes"]:
                opened.truncate(have := 0)
            told.more(have)
            http_get(
                hf_hub_url(repo, file["name"], revision=commit),
                cast(BinaryIO, _Counted(opened, told)),
                resume_size=have,
                headers=headers,
                expected_size=file["bytes"],
            )
        part.replace(target)


class _Told:
    """Says how many bytes are there, now and then."""

    def __init__(self) -> None:
        self._bytes = 0
        self._last = 0.0

    def more(self, count: int) -> None:
        self._bytes += count
        if time.monotonic() - self._last >= _TELL_EVERY:
            self._last = time.monotonic()
            _say(bytes=self._bytes)


class _Counted:
    """A file that tells how much is written to it."""

    def __init__(self, file: BinaryIO, told: _Told) -> None:
        self._file, self._told = file, told

    def write(self, data: bytes) -> int:
        self._told.more(len(data))
        return self._file.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@contextmanager
def _explained() -> Iterator[None]:
    """Say by one word what went wrong; the words people read are the other program's."""
    try:
        yield
    except GatedRepoError as error:
        _say(error="gated", detail=str(error))
    except (RepositoryNotFoundError, HFValidationError) as error:
        _say(error="unknown", detail=str(error))
    except RevisionNotFoundError as error:
        _say(error="revision", detail=str(error))
    except EntryNotFoundError as error:
        _say(error="file", detail=str(error))
    except HfHubHTTPError as error:
        _say(error="hub", detail=f"it answered {error.response.status_code}")
    except OSError as error:
        _say(error="full" if error.errno in _FULL else "broken", detail=str(error))
    except Exception as error:  # what the HTTP library raises for a line that is cut or not there
        _say(error="network", detail=f"{type(error).__name__}: {error}")


def _say(**message: Any) -> None:
    print(json.dumps(message), flush=True)


def main() -> None:
    """Do what the arguments ask."""
    constants.DOWNLOAD_CHUNK_SIZE = _CHUNK
    with _explained():
        if sys.argv[1] == "plan":
            _say(plan=plan(*sys.argv[2:4]))
        else:
            fetch(Path(sys.argv[2]), **json.load(sys.stdin))
            _say(done=True)


if __name__ == "__main__":
    main()
