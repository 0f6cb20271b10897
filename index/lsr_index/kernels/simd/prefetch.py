"""Prefetch of a cache line.

A query reads short parts of arrays much larger than the caches, and the hardware recognises a
stream only after its first misses. A prefetch never faults: the address may be beyond the array.
"""

from __future__ import annotations

from typing import Any

from numba.core import cgutils
from numba.core import types as numba_types
from numba.extending import intrinsic

from lsr_index.kernels.jit import JIT_ENABLED


def _prefetch(typing_context: Any, array: Any, index: Any) -> Any:
    """Lower to the LLVM prefetch of ``array[index]`` (read, keep in all levels)."""
    from llvmlite import ir

    signature = numba_types.void(array, numba_types.intp)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array_type = signature.args[0]
        struct = context.make_array(array_type)(context, builder, args[0])
        pointer = builder.gep(struct.data, [args[1]])
        address = builder.bitcast(pointer, cgutils.voidptr_t)
        word = ir.IntType(32)
        function_type = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, word, word, word])
        function = cgutils.get_or_insert_function(
            builder.module, function_type, "llvm.prefetch.p0i8"
        )
        builder.call(function, [address, word(0), word(3), word(1)])
        return context.get_dummy_value()

    return signature, codegen


def _nothing(array: Any, index: int) -> None:
    """Do nothing when not compiled."""


prefetch: Any = intrinsic(_prefetch) if JIT_ENABLED else _nothing
