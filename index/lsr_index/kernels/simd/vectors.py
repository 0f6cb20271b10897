"""Sixteen documents at a time: a row of impacts added, and a maximum taken, in vector registers.

Left to itself the vectoriser widens ``(impact * weight) >> 8`` to 32 bits, which halves the speed
of the loop that dense rows are about. In 16 bits it is exact as well: with the weight cut into
bytes, ``weight = 256 high + low``, it equals ``impact * high + ((impact * low) >> 8)``, and neither
product leaves 16 bits (``high`` is below 128 because weights are below ``2**15``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types as numba_types
from numba.extending import intrinsic

from lsr_index.kernels.jit import JIT_ENABLED

_UNIT = 16


def load(context: Any, builder: Any, array_type: Any, array: Any, at: Any, lanes: int) -> Any:
    """LLVM: ``lanes`` elements of an array from position ``at``, aligned or not."""
    return builder.load(
        _place(context, builder, array_type, array, at, lanes),
        align=array_type.dtype.bitwidth // 8,
    )


def splat(builder: Any, value: Any, element: Any, lanes: int) -> Any:
    """LLVM: a 32-bit value, cut to the type of an element, in every lane."""
    from llvmlite import ir  # type: ignore[import-untyped,unused-ignore]

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


def _adding(lanes: int) -> Any:
    """``acc[at + i] += contribution(rows[place + i], weight)`` for so many lanes."""

    def typed(typing_context: Any, acc: Any, at: Any, rows: Any, place: Any, weight: Any) -> Any:
        from llvmlite import ir

        place_type = numba_types.intp
        signature = numba_types.void(acc, place_type, rows, place_type, numba_types.uint32)
        narrow = acc.dtype.bitwidth == 16

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            place = _place(context, builder, signature.args[0], args[0], args[1], lanes)
            total = builder.load(place, align=acc.dtype.bitwidth // 8)
            element = total.type.element
            impacts = builder.zext(
                load(context, builder, signature.args[2], args[2], args[3], lanes), total.type
            )
            if narrow:
                eight = ir.Constant(total.type, [8] * lanes)
                high = builder.lshr(args[4], ir.Constant(ir.IntType(32), 8))
                low = builder.and_(args[4], ir.Constant(ir.IntType(32), 255))
                upper = builder.mul(impacts, splat(builder, high, element, lanes))
                lower = builder.mul(impacts, splat(builder, low, element, lanes))
                added = builder.add(upper, builder.lshr(lower, eight))
            else:
                added = builder.mul(impacts, splat(builder, args[4], element, lanes))
            builder.store(builder.add(total, added), place, align=acc.dtype.bitwidth // 8)
            return context.get_dummy_value()

        return signature, codegen

    return typed


def _unit_max(typing_context: Any, acc: Any, at: Any, alive: Any) -> Any:
    """Largest of the 16 lanes from ``at`` whose bit in ``alive`` is set; 0 if there is none."""
    from llvmlite import ir

    signature = numba_types.uint32(acc, numba_types.intp, numba_types.uint64)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values = load(context, builder, signature.args[0], args[0], args[1], _UNIT)
        bits = builder.bitcast(
            builder.trunc(args[2], ir.IntType(_UNIT)), ir.VectorType(ir.IntType(1), _UNIT)
        )
        values = builder.select(bits, values, ir.Constant(values.type, [0] * _UNIT))
        return _largest(builder, values)

    return signature, codegen


def _unit_max_all(typing_context: Any, acc: Any, at: Any) -> Any:
    """Largest of the 16 lanes from ``at``."""
    signature = numba_types.uint32(acc, numba_types.intp)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _largest(builder, load(context, builder, signature.args[0], args[0], args[1], _UNIT))

    return signature, codegen


def _unit_maxima(typing_context: Any, acc: Any, at: Any, out: Any, to: Any) -> Any:
    """For 16 blocks: ``out[to + b]`` becomes the largest of the 16 lanes from ``at + 16 b``."""
    signature = numba_types.void(acc, numba_types.intp, out, numba_types.intp)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        from llvmlite import ir

        step = ir.Constant(ir.IntType(64), 2 * _UNIT)
        parts, place = [], args[1]
        for _ in range(_UNIT // 2):
            parts.append(load(context, builder, signature.args[0], args[0], place, 2 * _UNIT))
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
            _place(context, builder, signature.args[2], args[2], args[3], _UNIT),
            align=acc.dtype.bitwidth // 8,
        )
        return context.get_dummy_value()

    return signature, codegen


# Block 2 i stands in lanes 0..15 of vector i and block 2 i + 1 in the others, two eighths each.
_EIGHTHS = (
    [16 * (b % 2) + b // 2 for b in range(_UNIT)],
    [16 * (b % 2) + 8 + b // 2 for b in range(_UNIT)],
)


def _fold(builder: Any, one: Any, other: Any, width: int) -> Any:
    """Maxima of the lower and the upper halves of every eight lanes, groups of both interleaved."""
    lower: list[int] = []
    upper: list[int] = []
    for eight in range(0, 2 * _UNIT, 8):
        for group in range(0, 4, width):
            for vector in (0, 2 * _UNIT):
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
    name = f"llvm.vector.reduce.umax.v{_UNIT}i{element.width}"
    reduce = builder.module.globals.get(name) or ir.Function(
        builder.module, ir.FunctionType(element, [values.type]), name
    )
    found = builder.call(reduce, [values])
    return found if element.width == 32 else builder.zext(found, ir.IntType(32))


def _plain_adding(lanes: int) -> Any:
    """The same without the compiler."""

    def add(acc: Any, at: int, rows: Any, place: int, weight: Any) -> None:
        shift = 8 if acc.itemsize == 2 else 0
        impacts = rows[place : place + lanes].astype(np.int64)
        acc[at : at + lanes] += ((impacts * int(weight)) >> shift).astype(acc.dtype)

    return add


def _plain_unit_max(acc: Any, at: int, alive: Any) -> int:
    """The same without the compiler."""
    bits = [(int(alive) >> i) & 1 for i in range(_UNIT)]
    return int((acc[at : at + _UNIT].astype(np.int64) * bits).max())


def _plain_unit_max_all(acc: Any, at: int) -> int:
    """The same without the compiler."""
    return int(acc[at : at + _UNIT].max())


def _plain_unit_maxima(acc: Any, at: int, out: Any, to: int) -> None:
    """The same without the compiler."""
    out[to : to + _UNIT] = acc[at : at + _UNIT * _UNIT].reshape(_UNIT, _UNIT).max(axis=1)


add_unit: Any = intrinsic(_adding(_UNIT)) if JIT_ENABLED else _plain_adding(_UNIT)
add_pair: Any = intrinsic(_adding(2 * _UNIT)) if JIT_ENABLED else _plain_adding(2 * _UNIT)
unit_max: Any = intrinsic(_unit_max) if JIT_ENABLED else _plain_unit_max
unit_max_all: Any = intrinsic(_unit_max_all) if JIT_ENABLED else _plain_unit_max_all
unit_maxima: Any = intrinsic(_unit_maxima) if JIT_ENABLED else _plain_unit_maxima
