"""Atomic counter: the next number of a sequence that several threads share."""

from __future__ import annotations

from threading import Lock
from typing import Any

from numba.core import types as numba_types
from numba.extending import intrinsic

from lsr_index.kernels.jit import JIT_ENABLED

_plain_lock = Lock()


def _take_next(typing_context: Any, counter: Any) -> Any:
    """``counter[0]`` before it is atomically increased: each value goes to one caller only."""
    from llvmlite import ir

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.atomic_rmw("add", data, ir.Constant(ir.IntType(64), 1), "monotonic")

    return numba_types.int64(counter), codegen


def _plain_take_next(counter: Any) -> int:
    """The same, not compiled."""
    with _plain_lock:
        counter[0] += 1
        return int(counter[0]) - 1


take_next: Any = intrinsic(_take_next) if JIT_ENABLED else _plain_take_next
