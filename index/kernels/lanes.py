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

from index.kernels.jit import JIT_ENABLED

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


def _add_unit(typing_context: Any, acc: Any, at: Any, rows: Any, place: Any, weight: Any) -> Any:
    """``acc[at + i] += contribution(rows[place + i], weight)`` for 16 lanes."""
    from llvmlite import ir

    signature = numba_types.void(acc, numba_types.intp, rows, numba_types.intp, numba_types.uint32)
    narrow = acc.dtype.bitwidth == 16

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _place(context, builder, signature.args[0], args[0], args[1], _UNIT)
        total = builder.load(place, align=acc.dtype.bitwidth // 8)
        element = total.type.element
        impacts = builder.zext(
            load(context, builder, signature.args[2], args[2], args[3], _UNIT), total.type
        )
        if narrow:
            eight = ir.Constant(total.type, [8] * _UNIT)
            high = builder.lshr(args[4], ir.Constant(ir.IntType(32), 8))
            low = builder.and_(args[4], ir.Constant(ir.IntType(32), 255))
            upper = builder.mul(impacts, splat(builder, high, element, _UNIT))
            lower = builder.mul(impacts, splat(builder, low, element, _UNIT))
            added = builder.add(upper, builder.lshr(lower, eight))
        else:
            added = builder.mul(impacts, splat(builder, args[4], element, _UNIT))
        builder.store(builder.add(total, added), place, align=acc.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return signature, codegen


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


def _largest(builder: Any, values: Any) -> Any:
    from llvmlite import ir

    element = values.type.element
    name = f"llvm.vector.reduce.umax.v{_UNIT}i{element.width}"
    reduce = builder.module.globals.get(name) or ir.Function(
        builder.module, ir.FunctionType(element, [values.type]), name
    )
    found = builder.call(reduce, [values])
    return found if element.width == 32 else builder.zext(found, ir.IntType(32))


def _plain_add_unit(acc: Any, at: int, rows: Any, place: int, weight: Any) -> None:
    """The same without the compiler."""
    shift = 8 if acc.itemsize == 2 else 0
    impacts = rows[place : place + _UNIT].astype(np.int64)
    acc[at : at + _UNIT] += ((impacts * int(weight)) >> shift).astype(acc.dtype)


def _plain_unit_max(acc: Any, at: int, alive: Any) -> int:
    """The same without the compiler."""
    bits = [(int(alive) >> i) & 1 for i in range(_UNIT)]
    return int((acc[at : at + _UNIT].astype(np.int64) * bits).max())


def _plain_unit_max_all(acc: Any, at: int) -> int:
    """The same without the compiler."""
    return int(acc[at : at + _UNIT].max())


add_unit: Any = intrinsic(_add_unit) if JIT_ENABLED else _plain_add_unit
unit_max: Any = intrinsic(_unit_max) if JIT_ENABLED else _plain_unit_max
unit_max_all: Any = intrinsic(_unit_max_all) if JIT_ENABLED else _plain_unit_max_all
