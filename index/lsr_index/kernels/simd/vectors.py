"""Vector registers: a row of impacts added to 16 or 32 accumulators, and maxima of 16 of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types as numba_types
from numba.extending import intrinsic

from lsr_index.kernels.accumulator import contribution, shift_of, vector_contribution
from lsr_index.kernels.jit import JIT_ENABLED

VECTOR = 16
"""Documents in a vector."""


def load(context: Any, builder: Any, array_type: Any, array: Any, at: Any, lanes: int) -> Any:
    """LLVM: ``lanes`` elements of an array from position ``at``, aligned or not."""
    return builder.load(
        _place(context, builder, array_type, array, at, lanes),
        align=array_type.dtype.bitwidth // 8,
    )


def splat(builder: Any, value: Any, element: Any, lanes: int) -> Any:
    """LLVM: a 32-bit value, cut to the type of an element, in every lane."""
    from llvmlite import ir

    if element.width < 32:
        value = builder.trunc(value, element)
    vector = ir.VectorType(element, lanes)
    one = builder.insert_element(
        ir.Constant(vector, ir.Undefined), value, ir.Constant(ir.IntType(32), 0)
    )
    everywhere = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
    return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), everywhere)


def _place(context: Any, builder: Any, array_type: Any, array: Any, at: Any, lanes: int) -> Any:
    from llvmlite import ir

    data = context.make_array(array_type)(context, builder, array).data
    vector = ir.VectorType(ir.IntType(array_type.dtype.bitwidth), lanes)
    return builder.bitcast(builder.gep(data, [at]), vector.as_pointer())


def _add_row(lanes: int) -> Any:
    """``acc[at + i] += contribution(rows[place + i], weight, shift)`` for each lane ``i``."""

    def typed(typing_context: Any, acc: Any, at: Any, rows: Any, place: Any, weight: Any) -> Any:
        place_type = numba_types.intp
        signature = numba_types.void(acc, place_type, rows, place_type, numba_types.uint32)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            place = _place(context, builder, signature.args[0], args[0], args[1], lanes)
            total = builder.load(place, align=acc.dtype.bitwidth // 8)
            element = total.type.element
            impacts = builder.zext(
                load(context, builder, signature.args[2], args[2], args[3], lanes), total.type
            )
            added = vector_contribution(
                builder, impacts, args[4], lambda value: splat(builder, value, element, lanes)
            )
            builder.store(builder.add(total, added), place, align=acc.dtype.bitwidth // 8)
            return context.get_dummy_value()

        return signature, codegen

    return typed


def _masked_vector_max(typing_context: Any, acc: Any, at: Any, live: Any) -> Any:
    """Largest of the 16 lanes from ``at`` whose bit in ``live`` is set; 0 if there is none."""
    from llvmlite import ir

    signature = numba_types.uint32(acc, numba_types.intp, numba_types.uint64)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values = load(context, builder, signature.args[0], args[0], args[1], VECTOR)
        bits = builder.bitcast(
            builder.trunc(args[2], ir.IntType(VECTOR)), ir.VectorType(ir.IntType(1), VECTOR)
        )
        values = builder.select(bits, values, ir.Constant(values.type, [0] * VECTOR))
        return _largest(builder, values)

    return signature, codegen


def _vector_max(typing_context: Any, acc: Any, at: Any) -> Any:
    """Largest of the 16 lanes from ``at``."""
    signature = numba_types.uint32(acc, numba_types.intp)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _largest(
            builder, load(context, builder, signature.args[0], args[0], args[1], VECTOR)
        )

    return signature, codegen


def _vector_maxima(typing_context: Any, acc: Any, at: Any, out: Any, to: Any) -> Any:
    """For 16 blocks: ``out[to + b]`` becomes the largest of the 16 lanes from ``at + 16 b``."""
    signature = numba_types.void(acc, numba_types.intp, out, numba_types.intp)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        from llvmlite import ir

        step = ir.Constant(ir.IntType(64), 2 * VECTOR)
        parts, place = [], args[1]
        for _ in range(VECTOR // 2):
            parts.append(load(context, builder, signature.args[0], args[0], place, 2 * VECTOR))
            place = builder.add(place, step)
        # Halves of eight lanes are folded onto each other while two vectors become one; in the end
        # lane i of such an eighth holds what was the largest of that eighth in vector i.
        for width in (1, 2, 4):
            parts = [
                _fold(builder, one, other, width)
                for one, other in zip(parts[::2], parts[1::2], strict=True)
            ]
        left, right = (
            _shuffle(builder, parts[0], _EIGHTHS[0]),
            _shuffle(builder, parts[0], _EIGHTHS[1]),
        )
        maxima = _max(builder, left, right)
        builder.store(
            maxima,
            _place(context, builder, signature.args[2], args[2], args[3], VECTOR),
            align=acc.dtype.bitwidth // 8,
        )
        return context.get_dummy_value()

    return signature, codegen


# Block 2 i stands in lanes 0..15 of vector i and block 2 i + 1 in the others, two eighths each.
_EIGHTHS = (
    [16 * (b % 2) + b // 2 for b in range(VECTOR)],
    [16 * (b % 2) + 8 + b // 2 for b in range(VECTOR)],
)


def _fold(builder: Any, one: Any, other: Any, width: int) -> Any:
    """Maxima of the lower and the upper halves of every eight lanes, groups of both interleaved."""
    lower: list[int] = []
    upper: list[int] = []
    for eight in range(0, 2 * VECTOR, 8):
        for group in range(0, 4, width):
            for vector in (0, 2 * VECTOR):
                lower += range(vector + eight + group, vector + eight + group + width)
                upper += range(vector + eight + 4 + group, vector + eight + 4 + group + width)
    return _max(builder, _shuffle(builder, one, lower, other), _shuffle(builder, one, upper, other))


def _shuffle(builder: Any, one: Any, lanes: list[int], other: Any = None) -> Any:
    from llvmlite import ir

    chosen = ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes)
    second = ir.Constant(one.type, ir.Undefined) if other is None else other
    return builder.shuffle_vector(one, second, chosen)


def _max(builder: Any, one: Any, other: Any) -> Any:
    return builder.select(builder.icmp_unsigned(">", one, other), one, other)


def _largest(builder: Any, values: Any) -> Any:
    from llvmlite import ir

    element = values.type.element
    name = f"llvm.vector.reduce.umax.v{VECTOR}i{element.width}"
    reduce = builder.module.globals.get(name) or ir.Function(
        builder.module, ir.FunctionType(element, [values.type]), name
    )
    found = builder.call(reduce, [values])
    return found if element.width == 32 else builder.zext(found, ir.IntType(32))


def _plain_add_row(lanes: int) -> Any:
    """The same, not compiled."""

    def add(acc: Any, at: int, rows: Any, place: int, weight: Any) -> None:
        added = contribution(rows[place : place + lanes], weight, shift_of(acc))
        acc[at : at + lanes] += added.astype(acc.dtype)

    return add


def _plain_masked_vector_max(acc: Any, at: int, live: Any) -> int:
    """The same, not compiled."""
    bits = [(int(live) >> i) & 1 for i in range(VECTOR)]
    return int((acc[at : at + VECTOR].astype(np.int64) * bits).max())


def _plain_vector_max(acc: Any, at: int) -> int:
    """The same, not compiled."""
    return int(acc[at : at + VECTOR].max())


def _plain_vector_maxima(acc: Any, at: int, out: Any, to: int) -> None:
    """The same, not compiled."""
    out[to : to + VECTOR] = acc[at : at + VECTOR * VECTOR].reshape(VECTOR, VECTOR).max(axis=1)


_adder: Any = (lambda lanes: intrinsic(_add_row(lanes))) if JIT_ENABLED else _plain_add_row
add_vector: Any = _adder(VECTOR)
add_vector_pair: Any = _adder(2 * VECTOR)
masked_vector_max: Any = intrinsic(_masked_vector_max) if JIT_ENABLED else _plain_masked_vector_max
vector_max: Any = intrinsic(_vector_max) if JIT_ENABLED else _plain_vector_max
vector_maxima: Any = intrinsic(_vector_maxima) if JIT_ENABLED else _plain_vector_maxima
