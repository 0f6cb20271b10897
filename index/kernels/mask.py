"""Sixty-four comparisons at a time, as the bits of one word.

No NumPy expression compiles to "compare a vector and keep the outcome as bits", so the two
instructions it takes are asked for directly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types as numba_types
from numba.extending import intrinsic

from index.kernels.jit import JIT_ENABLED

LANES = 64


def _reach_mask(typing_context: Any, acc: Any, at: Any, bias: Any, first: Any) -> Any:
    """Bit ``i``: the top bit of ``acc[at + i] + bias[first + i]``."""
    from llvmlite import ir  # type: ignore[import-untyped,unused-ignore]

    signature = numba_types.uint64(acc, numba_types.intp, bias, numba_types.intp)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        element = ir.IntType(acc.dtype.bitwidth)
        vector = ir.VectorType(element, LANES)

        def load(array_type: Any, value: Any, index: Any) -> Any:
            data = context.make_array(array_type)(context, builder, value).data
            place = builder.bitcast(builder.gep(data, [index]), vector.as_pointer())
            return builder.load(place, align=acc.dtype.bitwidth // 8)

        total = builder.add(
            load(signature.args[0], args[0], args[1]), load(signature.args[2], args[2], args[3])
        )
        negative = builder.icmp_signed("<", total, ir.Constant(vector, [0] * LANES))
        return builder.bitcast(negative, ir.IntType(LANES))

    return signature, codegen


def _at_least_mask(typing_context: Any, values: Any, at: Any, level: Any) -> Any:
    """Bit ``i``: ``values[at + i] >= level``."""
    from llvmlite import ir

    signature = numba_types.uint64(values, numba_types.intp, numba_types.uint32)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        element = ir.IntType(values.dtype.bitwidth)
        vector = ir.VectorType(element, LANES)
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        place = builder.bitcast(builder.gep(data, [args[1]]), vector.as_pointer())
        loaded = builder.load(place, align=values.dtype.bitwidth // 8)
        one = builder.trunc(args[2], element) if values.dtype.bitwidth < 32 else args[2]
        first = builder.insert_element(
            ir.Constant(vector, ir.Undefined), one, ir.Constant(ir.IntType(32), 0)
        )
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        levels = builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), everywhere)
        reached = builder.icmp_unsigned(">=", loaded, levels)
        return builder.bitcast(reached, ir.IntType(LANES))

    return signature, codegen


def _lowest_bit(typing_context: Any, word: Any) -> Any:
    """Number of the lowest set bit; the word is not 0."""
    from llvmlite import ir

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return numba_types.int64(numba_types.uint64), codegen


def _plain_reach_mask(acc: Any, at: int, bias: Any, first: int) -> np.uint64:
    """The same without the compiler."""
    top = 1 << (acc.itemsize * 8 - 1)
    total = acc[at : at + LANES].astype(np.int64) + bias[first : first + LANES]
    bits = np.flatnonzero(total & top)
    return np.uint64(sum(1 << int(bit) for bit in bits))


def _plain_at_least_mask(values: Any, at: int, level: int) -> np.uint64:
    """The same without the compiler."""
    return np.uint64(sum(1 << int(bit) for bit in np.flatnonzero(values[at : at + LANES] >= level)))


def _plain_lowest_bit(word: np.uint64) -> int:
    """The same without the compiler."""
    return (int(word) & -int(word)).bit_length() - 1


reach_mask: Any = intrinsic(_reach_mask) if JIT_ENABLED else _plain_reach_mask
at_least_mask: Any = intrinsic(_at_least_mask) if JIT_ENABLED else _plain_at_least_mask
lowest_bit: Any = intrinsic(_lowest_bit) if JIT_ENABLED else _plain_lowest_bit
