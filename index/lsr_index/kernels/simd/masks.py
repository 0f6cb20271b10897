"""Comparisons of many numbers at a time, as the bits of one word.

No NumPy expression compiles to "compare a vector and keep the outcome as bits", so the two
instructions it takes are asked for directly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types as numba_types
from numba.extending import intrinsic

from lsr_index.kernels.jit import JIT_ENABLED
from lsr_index.kernels.simd.vectors import load, splat

# Blocks looked at together.
LANES = 64
# Documents looked at together.
UNIT = 16


def _unit_at_least(typing_context: Any, values: Any, at: Any, level: Any) -> Any:
    """Bit ``i`` of 16: ``values[at + i] >= level``."""
    signature = numba_types.uint64(values, numba_types.intp, numba_types.uint32)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        from llvmlite import ir  # type: ignore[import-untyped,unused-ignore]

        loaded = load(context, builder, signature.args[0], args[0], args[1], UNIT)
        levels = splat(builder, args[2], loaded.type.element, UNIT)
        reached = builder.icmp_unsigned(">=", loaded, levels)
        return builder.zext(builder.bitcast(reached, ir.IntType(UNIT)), ir.IntType(64))

    return signature, codegen


def _sums_at_least(typing_context: Any, one: Any, other: Any, at: Any, level: Any) -> Any:
    """Bit ``i`` of 64: ``one[at + i] + other[at + i] >= level``; sums do not overflow."""
    signature = numba_types.uint64(one, other, numba_types.intp, numba_types.uint32)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        from llvmlite import ir

        total = builder.add(
            load(context, builder, signature.args[0], args[0], args[2], LANES),
            load(context, builder, signature.args[1], args[1], args[2], LANES),
        )
        levels = splat(builder, args[3], total.type.element, LANES)
        return builder.bitcast(builder.icmp_unsigned(">=", total, levels), ir.IntType(LANES))

    return signature, codegen


def _count_at_least(typing_context: Any, values: Any, at: Any, level: Any) -> Any:
    """How many of 64 values from ``values[at]`` reach the level."""
    signature = numba_types.int64(values, numba_types.intp, numba_types.uint32)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        from llvmlite import ir

        loaded = load(context, builder, signature.args[0], args[0], args[1], LANES)
        levels = splat(builder, args[2], loaded.type.element, LANES)
        reached = builder.icmp_unsigned(">=", loaded, levels)
        return builder.ctpop(builder.bitcast(reached, ir.IntType(LANES)))

    return signature, codegen


def _lowest_bit(typing_context: Any, word: Any) -> Any:
    """Number of the lowest set bit; the word is not 0."""
    from llvmlite import ir

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return numba_types.int64(numba_types.uint64), codegen


def _word(bits: Any) -> np.uint64:
    return np.uint64(sum(1 << int(bit) for bit in np.flatnonzero(bits)))


def _plain_unit_at_least(values: Any, at: int, level: int) -> np.uint64:
    """The same without the compiler."""
    return _word(values[at : at + UNIT] >= level)


def _plain_sums_at_least(one: Any, other: Any, at: int, level: int) -> np.uint64:
    """The same without the compiler."""
    return _word(one[at : at + LANES] + other[at : at + LANES] >= level)


def _plain_count_at_least(values: Any, at: int, level: int) -> int:
    """The same without the compiler."""
    return int((values[at : at + LANES] >= level).sum())


def _plain_lowest_bit(word: np.uint64) -> int:
    """The same without the compiler."""
    return (int(word) & -int(word)).bit_length() - 1


sums_at_least: Any = intrinsic(_sums_at_least) if JIT_ENABLED else _plain_sums_at_least
count_at_least: Any = intrinsic(_count_at_least) if JIT_ENABLED else _plain_count_at_least
unit_at_least: Any = intrinsic(_unit_at_least) if JIT_ENABLED else _plain_unit_at_least
lowest_bit: Any = intrinsic(_lowest_bit) if JIT_ENABLED else _plain_lowest_bit
