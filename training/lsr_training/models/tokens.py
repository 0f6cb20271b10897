"""Token batches: piece ids of several texts as one padded tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class TokenBatch(NamedTuple):
    """Texts as piece ids.

    Attributes
    ----------
    ids : (n, length) int64 tensor
        Padded with 0.
    mask : (n, length) bool tensor
        True for real pieces. Every text has at least one.
    """

    ids: Tensor
    mask: Tensor

    def to(self, device: torch.device) -> TokenBatch:
        """Return the batch on a device."""
        return TokenBatch(self.ids.to(device), self.mask.to(device))


def pad(rows: Sequence[NDArray[np.int64]]) -> TokenBatch:
    """Pad rows of piece ids, none of them empty, to the length of the longest, as one batch."""
    lengths = np.array([len(row) for row in rows])
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids = np.zeros(mask.shape, np.int64)
    ids[mask] = np.concatenate(rows)
    return TokenBatch(torch.from_numpy(ids), torch.from_numpy(mask))


def echoed(tokens: TokenBatch) -> tuple[TokenBatch, Tensor]:
    """Return every text repeated twice, (n, 2 length), and the mask of the second copies."""
    lengths = tokens.mask.sum(dim=1, keepdim=True)
    n, length = tokens.ids.shape
    place = torch.arange(2 * length, device=tokens.ids.device).expand(n, -1)
    origin = torch.where(place < lengths, place, place - lengths)
    ids = tokens.ids.gather(1, origin.clamp(max=length - 1))
    mask = place < 2 * lengths
    return TokenBatch(ids * mask, mask), mask & (place >= lengths)


def presence(tokens: TokenBatch, n_terms: int, special_ids: Tensor) -> Tensor:
    """Return which pieces each text holds, without special tokens: (n, n_terms) bool."""
    held = torch.zeros((len(tokens.ids), n_terms), dtype=torch.bool, device=tokens.ids.device)
    # Padding is written first: a real piece with the padding's id must win.
    real = tokens.mask & ~torch.isin(tokens.ids, special_ids)
    rows, columns = real.nonzero(as_tuple=True)
    held[rows, tokens.ids[rows, columns]] = True
    return held
