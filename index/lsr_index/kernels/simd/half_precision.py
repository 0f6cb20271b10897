"""Conversion of half-precision numbers to single precision in compiled loops.

Uses the processor's instruction if there is one. Shifting the bits into place without correcting
the exponent is not enough: products with such small numbers are subnormal, and some processors take
a hundred times as long for each.
"""

from __future__ import annotations

import platform
from typing import Any

import numpy as np
from numba.core import config
from numba.core import types as numba_types
from numba.extending import intrinsic

from lsr_index.kernels.jit import JIT_ENABLED, kernel

_MAGNITUDE, _SIGN = np.uint32(0x7FFF), np.uint32(0x8000)
_LEAST_NORMAL = np.uint32(1 << 10)
# Difference of the exponent biases of single and half precision.
_BIAS = np.uint32((127 - 15) << 23)
_SUBNORMAL_UNIT = np.float32(2.0**-24)
_FRACTION_SHIFT, _SIGN_SHIFT = np.uint32(13), np.uint32(16)


def _has_instruction() -> bool:
    """Whether compiled code may use the instruction; x86 processors have it since 2012 (F16C)."""
    if not JIT_ENABLED or config.CPU_NAME or config.CPU_FEATURES:
        return False
    from llvmlite import binding

    machine = platform.machine().lower()
    return machine in ("aarch64", "arm64") or (
        machine in ("x86_64", "amd64") and bool(binding.get_host_cpu_features().get("f16c"))
    )


def _widened(typing_context: Any, code: Any) -> Any:
    """Lower to LLVM's extension of a half."""
    from llvmlite import ir

    signature = numba_types.float32(numba_types.uint16)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fpext(builder.bitcast(args[0], ir.HalfType()), ir.FloatType())

    return signature, codegen


@kernel
def single_by_arithmetic(code):
    """Convert the 16 bits of a finite half-precision number; for processors without F16C."""
    magnitude, sign = np.uint32(code) & _MAGNITUDE, np.uint32(code) & _SIGN
    normal = np.uint32((magnitude << _FRACTION_SHIFT) + _BIAS)
    subnormal = np.float32(np.float32(np.int32(magnitude)) * _SUBNORMAL_UNIT).view(np.uint32)
    bits = normal if magnitude >= _LEAST_NORMAL else subnormal
    return np.uint32(bits | (sign << _SIGN_SHIFT)).view(np.float32)


single: Any = intrinsic(_widened) if _has_instruction() else single_by_arithmetic
