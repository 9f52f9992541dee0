"""What an inpainting network is shown beside the noisy latent: a mask, and the picture around it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import interpolate


class Inpainting:
    """Makes the five further channels of a nine-channel network: mask (1 = to be painted), masked latent (4).

    Without a mask everything is to be painted, so that every method can run on such a model.
    """

    def __init__(self, encode: Callable[[Tensor], Tensor], scale: int) -> None:
        self._encode, self._scale = encode, scale
        self._nothing: Tensor | None = None

    def forget(self) -> None:
        """Forget what an autoencoder made that is now another."""
        self._nothing = None

    def unmasked(self, x: Tensor) -> Tensor:
        """(n, C, h, w) -> (1, 1 + C, h, w): a mask of ones over an empty (grey) picture of that size."""
        if self._nothing is None or self._nothing.shape[-2:] != x.shape[-2:]:
            height, width = (side * self._scale for side in x.shape[-2:])
            masked = self._encode(torch.zeros(1, 3, height, width, device=x.device))
            self._nothing = torch.cat([torch.ones_like(masked[:, :1]), masked], dim=1)
        return self._nothing

    def around(self, image: Tensor | None, mask: Tensor | None) -> Callable[[Tensor], Tensor]:
        """The channels for an image (1, 3, H, W) with a mask (1, 1, H, W); as diffusers makes them."""
        if image is None or mask is None:
            return self.unmasked
        hard = (mask >= 0.5).to(image.dtype)
        masked = self._encode(image * (1 - hard))
        cells = interpolate(hard, size=masked.shape[-2:])
        channels = torch.cat([cells, masked], dim=1)
        return lambda x: channels if channels.shape[-2:] == x.shape[-2:] else self.unmasked(x)
