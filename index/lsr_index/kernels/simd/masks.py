"""Bit masks of vector comparisons: which of 16 or 64 values reach a threshold.

No NumPy expression compiles to a vector comparison with a bit mask as its result, so the two
instructions are generated directly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types as numba_types
from numba.extending import intrinsic

from lsr_index.kernels.jit import JIT_ENABLED
from lsr_index.kernels.simd.vectors import VECTOR, load, splat

MASK = 64
"""Blocks compared at a time, a bit of a word for each."""


def _reached(context: Any, builder: Any, signature: Any, args: Any, lanes: int) -> Any:
    """LLVM: bit ``i`` of ``lanes``: ``values[at + i] >= level``."""
    from llvmlite import ir

    loaded = load(context, builder, signature.args[0], args[0], args[1], lanes)
    levels = splat(builder, args[2], loaded.type.element, lanes)
    return builder.bitcast(builder.icmp_unsigned(">=", loaded, levels), ir.IntType(lanes))


def _vector_at_least(typing_context: Any, values: Any, at: Any, level: Any) -> Any:
    """Bit ``i`` of 16: ``values[at + i] >= level``."""
    signature = numba_types.uint64(values, numba_types.intp, numba_types.uint32)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        from llvmlite import ir

        return builder.zext(_reached(context, builder, signature, args, VECTOR), ir.IntType(64))

    return signature, codegen


def _sums_at_least(typing_context: Any, one: Any, other: Any, at: Any, level: Any) -> Any:
    """Bit ``i`` of 64: ``one[at + i] + other[at + i] >= level``; sums do not overflow."""
    signature = numba_types.uint64(one, other, numba_types.intp, numba_types.uint32)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        from llvmlite import ir

        total = builder.add(
            load(context, builder, signature.args[0], args[0], args[2], MASK),
            load(context, builder, signature.args[1], args[1], args[2], MASK),
        )
        levels = splat(builder, args[3], total.type.element, MASK)
        return builder.bitcast(builder.icmp_unsigned(">=", total, levels), ir.IntType(MASK))

    return signature, codegen


def _count_at_least(typing_context: Any, values: Any, at: Any, level: Any) -> Any:
    """How many of 64 values from ``values[at]`` reach the level."""
    signature = numba_types.int64(values, numba_types.intp, numba_types.uint32)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(_reached(context, builder, signature, args, MASK))

    return signature, codegen


def _lowest_bit(typing_context: Any, word: Any) -> Any:
    """Number of the lowest set bit; the word is not 0."""
    from llvmlite import ir

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return numba_types.int64(numba_types.uint64), codegen


def _word(bits: Any) -> np.uint64:
    return np.uint64(sum(1 << int(bit) for bit in np.flatnonzero(bits)))


def _plain_vector_at_least(values: Any, at: int, level: int) -> np.uint64:
    """The same, not compiled."""
    return _word(values[at : at + VECTOR] >= level)


def _plain_sums_at_least(one: Any, other: Any, at: int, level: int) -> np.uint64:
    """The same, not compiled."""
    return _word(one[at : at + MASK] + other[at : at + MASK] >= level)


def _plain_count_at_least(values: Any, at: int, level: int) -> int:
    """The same, not compiled."""
    return int((values[at : at + MASK] >= level).sum())


def _plain_lowest_bit(word: np.uint64) -> int:
    """The same, not compiled."""
    return (int(word) & -int(word)).bit_length() - 1


sums_at_least: Any = intrinsic(_sums_at_least) if JIT_ENABLED else _plain_sums_at_least
count_at_least: Any = intrinsic(_count_at_least) if JIT_ENABLED else _plain_count_at_least
vector_at_least: Any = intrinsic(_vector_at_least) if JIT_ENABLED else _plain_vector_at_least
lowest_bit: Any = intrinsic(_lowest_bit) if JIT_ENABLED else _plain_lowest_bit
