"""Textual inversion: words a person's file teaches the text encoders (Gal et al. 2022).

A file holds (n, D) vectors for one word. The word is one token of the tokenizer, which stands for n in a row.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AddedToken

from sfumato.errors import ModelError
from sfumato.models.model import Model
from sfumato.models.tensors import UNCHANGED, foreign, read_tensors

_NAMELESS = frozenset({"emb_params", "string_to_param", "*"})
"""Keys that do not say the word; it is the file's name then."""
_BY_ENCODER = {"clip_l": 0, "clip_g": 1}
_MOST_VECTORS = 75


@dataclass(frozen=True, eq=False)
class Embedding:
    """One word and, for each text encoder, its (n, D) vectors."""

    word: str
    vectors: Mapping[int, Tensor]

    @property
    def count(self) -> int:
        return len(next(iter(self.vectors.values())))


def read_embedding(path: Path, model: Model) -> Embedding:
    """Read a word. Raises `ModelError` if the file is damaged or made for another kind of model."""
    tensors = read_tensors(path, "embedding")
    if tensors.keys() & _BY_ENCODER.keys():
        word, found = path.stem, {_BY_ENCODER[key]: tensors[key] for key in tensors if key in _BY_ENCODER}
    elif len(tensors) == 1:
        ((key, vectors),) = tensors.items()
        word, found = (path.stem if key in _NAMELESS else key), {0: vectors}
    else:
        raise ModelError(f"{path.name} is not an embedding: it holds {len(tensors)} things.", kept=UNCHANGED)
    found = {number: vectors if vectors.dim() == 2 else vectors[None] for number, vectors in found.items()}
    _check(Embedding(word, found), path, model)
    return Embedding(word, found)


def _check(embedding: Embedding, path: Path, model: Model) -> None:
    widths = [_table(encoder).weight.shape[1] for encoder in model.encoders]
    if embedding.vectors.keys() != set(range(len(widths))):
        raise foreign(path, "embedding", f"it is for {len(embedding.vectors)} text encoders of {len(widths)}")
    for number, vectors in embedding.vectors.items():
        if vectors.dim() != 2 or not 1 <= len(vectors) <= _MOST_VECTORS or len(vectors) != embedding.count:
            raise ModelError(f"{path.name} is not an embedding this version knows.", kept=UNCHANGED)
        if vectors.shape[1] != widths[number]:
            raise foreign(
                path, "embedding", f"its vectors have {vectors.shape[1]} numbers, not {widths[number]}"
            )
    word = embedding.word
    if not word.strip() or any({word, word.lower()} & known.get_vocab().keys() for known in model.tokenizers):
        raise ModelError(
            f"The word '{word}' of {path.name} has a meaning already.",
            kept=UNCHANGED,
            advice="Give the file another name.",
        )


def put_on(embeddings: Sequence[Embedding], model: Model, undo: ExitStack) -> tuple[Any, ...]:
    """Teach the text encoders the words; return the tokenizers that know them.

    Raises `ModelError` if two files teach the same word.
    """
    known = [embedding.word.lower() for embedding in embeddings]
    if twice := [word for word in known if known.count(word) > 1]:
        raise ModelError(f"Two embeddings are for the same word, '{twice[0]}'.", kept=UNCHANGED)
    pairs = zip(model.tokenizers, model.encoders, strict=True)
    return tuple(
        _taught(tokenizer, encoder, [(e.word, e.vectors[number]) for e in embeddings], undo)
        for number, (tokenizer, encoder) in enumerate(pairs)
    )


def _taught(tokenizer: Any, encoder: Any, words: Iterable[tuple[str, Tensor]], undo: ExitStack) -> Any:
    tokenizer, old = copy.deepcopy(tokenizer), _table(encoder)
    rows, runs = [old.weight], {}
    for word, vectors in words:
        tokenizer.add_tokens([AddedToken(word, single_word=True, normalized=True)])
        first = sum(map(len, rows))
        runs[tokenizer.convert_tokens_to_ids(word)] = range(first, first + len(vectors))
        rows.append(vectors.to(old.weight))
    undo.callback(encoder.set_input_embeddings, old)
    encoder.set_input_embeddings(nn.Embedding.from_pretrained(torch.cat(rows), freeze=True))
    _find_the_end_by_its_own_token(encoder, tokenizer.eos_token_id, undo)
    return TaughtTokenizer(tokenizer, runs)


def _table(encoder: Any) -> nn.Embedding:
    return encoder.get_input_embeddings()


def _find_the_end_by_its_own_token(encoder: nn.Module, end: int, undo: ExitStack) -> None:
    """Have a text be summed up at its end marker: old configurations look for the largest id instead."""
    for module in encoder.modules():
        own = vars(module)
        if isinstance(old := own.get("eos_token_id"), int):
            undo.callback(own.update, eos_token_id=old)
            own["eos_token_id"] = end


class TaughtTokenizer:
    """A tokenizer that writes a taught word as all of its vectors; each of them covers the word's letters."""

    def __init__(self, tokenizer: Any, runs: Mapping[int, Sequence[int]]) -> None:
        self._tokenizer = tokenizer
        self._runs = runs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)

    def __call__(self, text: str, **options: Any) -> Any:
        """As the tokenizer's own call for one text, padded to the model's length."""
        batch = self._tokenizer(text, **options)
        length, end = batch["input_ids"].shape[1], self._tokenizer.eos_token_id
        ids, offsets = batch["input_ids"][0].tolist(), batch["offset_mapping"][0].tolist()
        said = zip(ids[: ids.index(end, 1)], offsets, strict=False)
        spread = [(i, at) for each, at in said for i in self._runs.get(each, (each,))][: length - 1]
        stop = len(spread)
        spread += [(end, [0, 0])] + [(int(self._tokenizer.pad_token_id), [0, 0])] * (length - stop - 1)
        batch["input_ids"] = torch.tensor([[i for i, _ in spread]])
        batch["offset_mapping"] = torch.tensor([[at for _, at in spread]])
        if "attention_mask" in batch:
            batch["attention_mask"] = (torch.arange(length) <= stop).long()[None]
        return batch
