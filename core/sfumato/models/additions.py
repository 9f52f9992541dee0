"""What a recipe puts on top of a checkpoint, put on a loaded model and taken off again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path

from sfumato.method import Progress
from sfumato.models import autoencoder, embedding, lora
from sfumato.models.catalogue import Additions
from sfumato.models.fingerprint import Fingerprints
from sfumato.models.model import Model

_STAGE = "Adding to the model"


def put_on(
    additions: Additions, model: Model, *, cache_dir: Path
) -> Generator[Progress, None, Callable[[], None]]:
    """Put LoRAs, embeddings and an autoencoder on a model; return what takes them off again.

    Everything is read and checked before the model is touched: a `ModelError` leaves it as it was. The model
    then goes by a hash made of its own, the files' and the strengths.
    """
    kept, paths = Fingerprints(cache_dir / "fingerprints.json"), additions.paths
    parts: list[object] = [model.weights_hash]
    loras: list[tuple[lora.Lora, float]] = []
    words: list[embedding.Embedding] = []
    vae = None
    for number, path in enumerate(paths):
        yield Progress(number, len(paths), _STAGE)
        if number < len(additions.loras):
            strength = additions.loras[number][1]
            loras.append((lora.read_lora(path, model), strength))
            parts.append(["lora", kept.of_file(path), strength])
        elif number < len(additions.loras) + len(additions.embeddings):
            words.append(embedding.read_embedding(path, model))
            parts.append(["embedding", kept.of_file(path), words[-1].word])
        else:
            vae = autoencoder.read_vae(path, model)
            parts.append(["vae", kept.of_file(autoencoder.weights_of(path))])
    with ExitStack() as undo:
        undo.callback(model.altered, model.weights_hash, model.tokenizers)
        lora.put_on(loras, model, undo)
        tokenizers = embedding.put_on(words, model, undo) if words else model.tokenizers
        if vae is not None:
            autoencoder.put_on(vae, model.vae, undo)
        model.altered(hashlib.sha256(json.dumps(parts).encode()).hexdigest(), tokenizers)
        return undo.pop_all().close
