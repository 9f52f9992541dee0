"""Where to find CLIP's tokenizer, which single files do not hold and which is not shipped.

Every Stable Diffusion model has the same one, so that of any model folder there is serves.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from sfumato.errors import ModelError
from sfumato.models.places import hub_cache

_REPOSITORY = "openai/clip-vit-large-patch14"
_LARGEST_VOCABULARY = 16 * 1024**2


def find_tokenizer(vocabulary: int, file: Path, folders: Iterable[Path]) -> Path:
    """The folder of a CLIP tokenizer of that many words, for the checkpoint `file`.

    Looked for beside the file, in `folders` (the other models there are), and in the Hugging Face cache.
    Raises `ModelError` if there is none.
    """
    places = (file.parent / "tokenizer", file.parent, *(each / "tokenizer" for each in folders), *_cached())
    for place in places:
        if _words(place) == vocabulary:
            return place
    raise ModelError(
        f"{file.name} holds no tokenizer, as single files never do, and none was found on this machine.",
        advice="Add any Stable Diffusion model as a folder, put the folder 'tokenizer' of one beside the "
        f"file, or download {_REPOSITORY}.",
    )


def _cached() -> Iterator[Path]:
    """Tokenizers among what the Hugging Face libraries have downloaded, CLIP's own first."""
    cache = hub_cache()
    own = "models--" + _REPOSITORY.replace("/", "--")
    yield from sorted(cache.glob(f"{own}/snapshots/*"))
    yield from sorted(cache.glob("models--*/snapshots/*/tokenizer"))


def _words(place: Path) -> int | None:
    """How many words a tokenizer knows; None if the folder holds none."""
    vocabulary = place / "vocab.json"
    try:
        if not (place / "merges.txt").is_file() or vocabulary.stat().st_size > _LARGEST_VOCABULARY:
            return None
        words = json.loads(vocabulary.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return len(words) if isinstance(words, dict) and "<|endoftext|>" in words else None
