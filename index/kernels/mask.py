"""Comparisons of many numbers at a time, as the bits of one word.

No NumPy expression compiles to "compare a vector and keep the outcome as bits", so the two
instructions it takes are asked for directly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types as numba_types
from numba.extending import intrinsic

from index.kernels.jit import JIT_ENABLED
from index.kernels.lanes import load, splat

# Blocks looked at together.
LANES = 64
# Documents looked at together.
UNIT = 16


def _at_least(lanes: int) -> Any:
    """Bit ``i`` of ``lanes``: ``values[at + i] >= level``."""

    def typed(typing_context: Any, values: Any, at: Any, level: Any) -> Any:
        from llvmlite import ir  # type: ignore[import-untyped,unused-ignore]

        signature = numba_types.uint64(values, numba_types.intp, numba_types.uint32)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            loaded = load(context, builder, signature.args[0], args[0], args[1], lanes)
            levels = splat(builder, args[2], loaded.type.element, lanes)
            reached = builder.icmp_unsigned(">=", loaded, levels)
            word = builder.bitcast(reached, ir.IntType(lanes))
            return word if lanes == 64 else builder.zext(word, ir.IntType(64))

        return signature, codegen

    return typed


def _lowest_bit(typing_context: Any, word: Any) -> Any:
    """Number of the lowest set bit; the word is not 0."""
    from llvmlite import ir

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return numba_types.int64(numba_types.uint64), codegen


def _word(bits: Any) -> np.uint64:
    return np.uint64(sum(1 << int(bit) for bit in np.flatnonzero(bits)))


def _plain_blocks_at_least(values: Any, at: int, level: int) -> np.uint64:
    """The same without the compiler."""
    return _word(values[at : at + LANES] >= level)


def _plain_unit_at_least(values: Any, at: int, level: int) -> np.uint64:
    """The same without the compiler."""
    return _word(values[at : at + UNIT] >= level)


def _plain_lowest_bit(word: np.uint64) -> int:
    """The same without the compiler."""
    return (int(word) & -int(word)).bit_length() - 1


blocks_at_least: Any = intrinsic(_at_least(LANES)) if JIT_ENABLED else _plain_blocks_at_least
unit_at_least: Any = intrinsic(_at_least(UNIT)) if JIT_ENABLED else _plain_unit_at_least
lowest_bit: Any = intrinsic(_lowest_bit) if JIT_ENABLED else _plain_lowest_bit
