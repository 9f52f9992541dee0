"""From a prompt to what the network reads: one text encoder or two, with weights on words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sfumato.diffusion.text import Text
from sfumato.prompts import Weighed, weigh, words


@dataclass(frozen=True, eq=False)
class TextEncoder:
    """A tokenizer and the network behind it; the context length is the tokenizer's own (CLIP 77)."""

    tokenizer: Any
    network: Any
    penultimate: bool = False
    """Take the last hidden state but one, without the final norm, as SDXL was trained. Stable Diffusion 2
    needs it not: its checkpoints in diffusers format leave the last layer out and norm the one before."""

    def tokens(self, bare: str) -> Any:
        """The tokenizer's answer for a prompt, padded to the context length."""
        return self.tokenizer(
            bare,
            padding="max_length",
            max_length=self.tokenizer.model_max_length,
            truncation=True,
            return_offsets_mapping=True,
            return_tensors="pt",
        )

    def embed(self, tokens: Any) -> tuple[Tensor, Tensor | None]:
        """(1, L, D) and, of a network with a projection, the pooled (1, D')."""
        place = getattr(self.network, "device", None)
        out = self.network(tokens["input_ids"].to(place), output_hidden_states=self.penultimate)
        z = out.hidden_states[-2] if self.penultimate else out.last_hidden_state
        pooled = getattr(out, "text_embeds", None)
        return z.float(), None if pooled is None else pooled.float()

    def end(self, ids: Sequence[int]) -> int:
        """Position of the end marker."""
        return ids.index(self.tokenizer.eos_token_id, 1)


def encode(prompt: str, encoders: Sequence[TextEncoder], *, empty_is_zero: bool = False) -> Text:
    """Encode a prompt by every encoder, side by side; pooled is the last one's, ids and spans the first's.

    `empty_is_zero`: SDXL base was trained with zeros in place of an empty prompt.
    """
    weighed = weigh(prompt)
    parts, pooled = [], None
    for encoder in encoders:
        tokens = encoder.tokens(weighed.bare)
        z, pooled = encoder.embed(tokens)
        parts.append(_stressed(z, tokens, weighed, encoder))
    embeddings = torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0]
    text = Text(weighed.bare, embeddings, *_ids_and_spans(weighed.bare, encoders[0]), pooled)
    if not empty_is_zero or weighed.bare.strip():
        return text
    zero = None if pooled is None else torch.zeros_like(pooled)
    return replace(text, embeddings=torch.zeros_like(embeddings), pooled=zero)


def _ids_and_spans(bare: str, encoder: TextEncoder) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
    tokens = encoder.tokens(bare)
    ids: list[int] = tokens["input_ids"][0].tolist()
    end = encoder.end(ids)
    offsets = tokens["offset_mapping"][0].tolist()[1:end]
    spans = tuple(
        tuple(k for k, (start, stop) in enumerate(offsets, 1) if start < word.end and stop > word.start)
        for word in words(bare)
    )
    return tuple(ids[: end + 1]), spans


def _stressed(z: Tensor, tokens: Any, weighed: Weighed, encoder: TextEncoder) -> Tensor:
    """z_∅ + w (z - z_∅) on tokens of weight w, with z_∅ of the empty prompt; weight 1 is left bit for bit.

    Going away from the empty prompt, unlike a plain factor, keeps what all prompts share (CLIP's few huge
    channels), so that no mean has to be restored, which is unsteady where the mean is near zero (SDXL).
    """
    if all(weight == 1 for weight in weighed.weights):
        return z
    w = torch.ones(z.shape[1])
    end = encoder.end(tokens["input_ids"][0].tolist())
    for k, (start, stop) in enumerate(tokens["offset_mapping"][0].tolist()[1:end], 1):
        if start < stop:
            w[k] = weighed.weights[start]
    w = w.to(z.device)[None, :, None]
    empty, _ = encoder.embed(encoder.tokens(""))
    return torch.where(w == 1, z, empty + w * (z - empty))
