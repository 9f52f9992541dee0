"""A plan carried out: processors and hooks installed for one network call and taken out after it.

Whatever happens, so that a suspended, cancelled or failed edit never leaves a patched network behind.
Probabilities are materialised only at sites and steps a hook asks for; all else keeps the fused kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from sfumato.diffusion.attention import FeatureHook, Hook, Plan, Qkv, Site, StreamHook


@dataclass(frozen=True, eq=False)
class Moment:
    """One network call: its step, the rows in their order in the batch, and what their values are made of."""

    step: int
    rows: tuple[str, ...]
    value_text: Tensor | None = None
    """(rows, L, D): what the V projections of cross-attention read in place of the text; K keeps the text."""


@contextmanager
def controlled(unet: nn.Module, plan: Plan | None, moment: Moment, sites: Sequence[Site]) -> Iterator[None]:
    """Install what a plan and a moment ask for; restore what was there on the way out."""
    active: dict[Site, list[Hook | StreamHook]] = plan.at(moment.step) if plan else {}
    if moment.value_text is not None:
        active = {site: active.get(site, []) for site in sites if site.kind == "cross"} | active
    with ExitStack() as undo:
        for site, hooks in active.items():
            module: Any = unet.get_submodule(site.name)
            undo.callback(module.set_processor, module.processor)
            module.set_processor(_Controlled(site, hooks, plan or Plan(), moment))
        for hook in plan.features(moment.step) if plan else ():
            undo.enter_context(_watched(unet, hook, plan or Plan(), moment))
        yield


def honour_upcast(unet: nn.Module, sites: Sequence[Site]) -> None:
    """Give layers that ask for float32 attention that in every call; the library's fused kernel does not."""
    for site in sites:
        module: Any = unet.get_submodule(site.name)
        if module.upcast_attention:
            module.set_processor(_Controlled(site, (), Plan(), Moment(0, ())))


@contextmanager
def _watched(unet: nn.Module, hook: FeatureHook, plan: Plan, moment: Moment) -> Iterator[None]:
    def act(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        current = dict(zip(moment.rows, output, strict=True))
        if not all(row in current for row in hook.reads):
            return output
        plan.acted.add((hook.module, moment.step))
        current |= hook.act(current, moment.step)
        return torch.stack([current[row] for row in moment.rows])

    handle = unet.get_submodule(hook.module).register_forward_hook(act)
    try:
        yield
    finally:
        handle.remove()


class _Controlled:
    """An attention processor under a plan: explicit softmax where probabilities are asked for."""

    def __init__(self, site: Site, hooks: Sequence[Hook | StreamHook], plan: Plan, moment: Moment) -> None:
        self.site, self.plan, self.moment = site, plan, moment
        self.on_streams = [hook for hook in hooks if isinstance(hook, StreamHook)]
        self.on_probabilities = [hook for hook in hooks if isinstance(hook, Hook)]

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        **_: Any,
    ) -> Tensor:
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        if attn.norm_cross and encoder_hidden_states is not None:
            context = attn.norm_encoder_hidden_states(context)
        valued = self.moment.value_text if self.site.kind == "cross" else None
        streams = Qkv(
            _split(attn.to_q(hidden_states), attn.heads),
            _split(attn.to_k(context), attn.heads),
            _split(attn.to_v(context if valued is None else valued.to(context.dtype)), attn.heads),
            attention_mask,
        )
        dtype = streams.query.dtype
        if attn.upcast_attention:  # Stable Diffusion 2, whose scores exceed the largest number of fp16
            query, key, value, bias = streams
            streams = Qkv(query.float(), key.float(), value.float(), None if bias is None else bias.float())
        mixed = self._attend(self._redirected(streams), attn.scale).to(dtype)
        out = attn.to_out[1](attn.to_out[0](mixed.transpose(1, 2).flatten(2)))
        return out / attn.rescale_output_factor

    def _redirected(self, streams: Qkv) -> list[Qkv]:
        """Apply the hooks on queries, keys and values; rows of equal shape stay one batch."""
        if not self.on_streams:
            return [streams]
        rows = zip(self.moment.rows, *streams[:3], strict=True)
        current = {name: Qkv(*each) for name, *each in rows}
        for hook in self.on_streams:
            current |= self._acted(hook, current)
        changed = [current[row] for row in self.moment.rows]
        if len({each.key.shape for each in changed}) == 1 and all(each.bias is None for each in changed):
            return [Qkv(*(torch.stack(part) for part in list(zip(*changed, strict=True))[:3]))]
        return [Qkv(each.query[None], each.key[None], each.value[None], each.bias) for each in changed]

    def _attend(self, batches: Sequence[Qkv], scale: float) -> Tensor:
        """(rows, heads, queries, d)"""
        if not self.on_probabilities:
            fused = (
                scaled_dot_product_attention(q, k, v, attn_mask=_fitting(bias, q, k), scale=scale)
                for q, k, v, bias in batches
            )
            return torch.cat(list(fused))
        probabilities = torch.cat([_softmax(q, k, bias, scale) for q, k, _, bias in batches])
        return self._controlled(probabilities) @ torch.cat([each.value for each in batches])

    def _controlled(self, probabilities: Tensor) -> Tensor:
        """Apply the hooks on probabilities in order; (rows, heads, queries, keys)."""
        current = dict(zip(self.moment.rows, probabilities, strict=True))
        changed = False
        for hook in self.on_probabilities:
            new = self._acted(hook, current)
            current |= new
            changed = changed or bool(new)
        return torch.stack([current[row] for row in self.moment.rows]) if changed else probabilities

    def _acted(self, hook: Any, current: dict[str, Any]) -> dict[str, Any]:
        """What a hook gives, if all rows it reads are there."""
        if not all(row in current for row in hook.reads):
            return {}
        self.plan.acted.add((self.site.name, self.moment.step))
        act: Callable[..., Any] = hook.act
        return dict(act(current, self.site, self.moment.step))


def _split(x: Tensor, heads: int) -> Tensor:
    """(rows, tokens, heads·d) -> (rows, heads, tokens, d)"""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def _fitting(bias: Tensor | None, query: Tensor, key: Tensor) -> Tensor | None:
    """A bias as the scores' shape wants it: diffusers' own has one entry per row and head."""
    if bias is None or bias.ndim == 2:
        return bias
    return bias.view(query.shape[0], -1, 1, key.shape[-2])


def _softmax(query: Tensor, key: Tensor, bias: Tensor | None, scale: float) -> Tensor:
    scores = query @ key.transpose(-1, -2) * scale
    fitting = _fitting(bias, query, key)
    return (scores if fitting is None else scores + fitting).softmax(dim=-1)
