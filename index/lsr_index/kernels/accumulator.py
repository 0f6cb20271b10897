"""Accumulators: two integer widths of scores, and the contribution of a term to a score.

A term with integer query weight ``w`` adds ``(impact * w) >> shift`` to the score of a document.
All scores and upper bounds use `contribution`, or in vector registers `vector_contribution`, which
returns the same numbers.

Overflow: ``sum((255 * w) >> shift) < top`` for the weights of a query, where ``top`` is the highest
bit of an accumulator, and ``255 * w < 2**31``. An accumulator or a sum of upper bounds holds each
query term at most once, so no sum reaches ``top``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba.core import types as numba_types
from numba.extending import intrinsic

from lsr_index.kernels.jit import JIT_ENABLED, kernel

# A query of more terms than this is scored in 32 bits: per-term rounding would add up in 16.
NARROW_TERMS = 64


class Width(NamedTuple):
    """An accumulator width and the constants that depend on it."""

    bits: int
    shift: int
    top: int
    weight_limit: int  # bound on the sum of a query's integer weights

    @property
    def dtype(self) -> type[np.uint16] | type[np.uint32]:
        """Type of an accumulator."""
        return np.uint16 if self.bits == 16 else np.uint32


# sum((255 * w) >> shift) <= 255 * sum(w) >> shift < top, in both.
NARROW = Width(16, 8, 1 << 15, (1 << 15) - 1)
WIDE = Width(32, 0, 1 << 31, (1 << 23) - 1)


def width_for(n_terms: int, bits: int = 0) -> Width:
    """Return the accumulator width of a query; `bits` 0 chooses by the number of its terms."""
    narrow = n_terms <= NARROW_TERMS if bits == 0 else bits == NARROW.bits
    return NARROW if narrow else WIDE


@kernel
def contribution(impact, weight, shift):
    """Contribution of a term to a score: ``(impact * weight) >> shift``, as uint32."""
    return (np.uint32(impact) * np.uint32(weight)) >> np.uint32(shift)


def vector_contribution(builder: Any, impacts: Any, weight: Any, splat: Any) -> Any:
    """LLVM: `contribution` of a vector of 16-bit or 32-bit impacts, for a 32-bit weight.

    The vectoriser widens ``(impact * weight) >> 8`` to 32 bits, which halves the speed of adding a
    dense row. In 16 bits it is exact as well: with ``weight = 256 high + low`` it equals ``impact *
    high + ((impact * low) >> 8)``, and neither product leaves 16 bits, as weights are below
    ``2**15`` and therefore ``high`` is below 128. ``splat`` makes a vector like ``impacts`` of a
    32-bit value.
    """
    from llvmlite import ir

    if impacts.type.element.width == WIDE.bits:
        return builder.mul(impacts, splat(weight))
    word = ir.IntType(32)
    shift = ir.Constant(word, NARROW.shift)
    high = builder.lshr(weight, shift)
    low = builder.and_(weight, ir.Constant(word, (1 << NARROW.shift) - 1))
    lower = builder.lshr(builder.mul(impacts, splat(low)), splat(shift))
    return builder.add(builder.mul(impacts, splat(high)), lower)


def _constant(field: str) -> Any:
    """A compile-time constant that depends on the width of an array of accumulators."""

    def of_bits(bits: int) -> int:
        return int(getattr(NARROW if bits == NARROW.bits else WIDE, field))

    def typed(typing_context: Any, acc: Any) -> Any:
        number = of_bits(acc.dtype.bitwidth)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return context.get_constant(numba_types.uint32, number)

        return numba_types.uint32(acc), codegen

    if JIT_ENABLED:
        return intrinsic(typed)
    return lambda acc: np.uint32(of_bits(8 * acc.itemsize))


shift_of: Any = _constant("shift")
top_of: Any = _constant("top")
weight_limit_of: Any = _constant("weight_limit")
