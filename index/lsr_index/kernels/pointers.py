"""Address tables: many arrays passed to a kernel as one.

Dozens of array arguments take a good part of a short search: Numba wraps each of them anew, and
recognises read-only ones slowly. So segments and scratch are each passed as a table of addresses
and lengths, of which kernels make arrays.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
from numba.core import types as numba_types
from numba.extending import intrinsic
from numpy.typing import NDArray

from lsr_index.kernels.jit import JIT_ENABLED, kernel
from lsr_index.kernels.structs import (
    CURSOR,
    MAX_PARTS,
    N_CAND,
    N_SCRATCH,
    PART,
    TERM,
    TERM_INFO,
    SegmentView,
)


def address_table(arrays: Sequence[NDArray[Any]]) -> NDArray[np.int64]:
    """Return address and length of each array, (n, 2) int64; the arrays must outlive the table."""
    return np.array([(array.ctypes.data, array.size) for array in arrays], dtype=np.int64)


def _pointer(typing_context: Any, address: Any) -> Any:
    """An address as an untyped pointer."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(numba_types.voidptr))

    return numba_types.voidptr(numba_types.int64), codegen


def _plain_pointer(address: int) -> Any:
    """The same, not compiled."""
    return ctypes.c_void_p(int(address))


pointer: Any = intrinsic(_pointer) if JIT_ENABLED else _plain_pointer


def _plain_view(pointer: Any, size: Any, dtype: Any) -> NDArray[Any]:
    """The array at an address, not compiled."""
    n_bytes = int(np.prod(size)) * np.dtype(dtype).itemsize
    if n_bytes == 0:
        return np.zeros(size, dtype)
    whole = (ctypes.c_uint8 * n_bytes).from_address(pointer.value)
    return np.frombuffer(whole, dtype).reshape(size)


carray: Any = numba.carray if JIT_ENABLED else _plain_view


@kernel
def uint64_at(address, size):
    """The uint64 array at an address."""
    return carray(pointer(address), size, np.uint64)


@kernel
def int64_at(address, size):
    """The int64 array at an address."""
    return carray(pointer(address), size, np.int64)


@kernel
def uint32_at(address, size):
    """The uint32 array at an address."""
    return carray(pointer(address), size, np.uint32)


@kernel
def segment_at(table):
    """Arrays of a segment, perhaps read-only, from the `address_table` of its `SegmentView`."""
    return SegmentView(
        carray(pointer(table[0, 0]), table[0, 1], np.int64),  # sizes
        carray(pointer(table[1, 0]), table[1, 1], np.uint32),  # terms
        carray(pointer(table[2, 0]), table[2, 1], np.uint32),  # counts
        carray(pointer(table[3, 0]), table[3, 1], np.int32),  # row_of_term
        carray(pointer(table[4, 0]), table[4, 1], np.uint8),  # kth_impacts
        carray(pointer(table[5, 0]), table[5, 1], np.int64),  # range_base
        carray(pointer(table[6, 0]), table[6, 1], np.uint32),  # offsets
        carray(pointer(table[7, 0]), table[7, 1], np.uint8),  # range_max
        carray(pointer(table[8, 0]), table[8, 1], np.uint16),  # slots
        carray(pointer(table[9, 0]), table[9, 1], np.uint8),  # impacts
        carray(pointer(table[10, 0]), table[10, 1], np.uint8),  # rows
        carray(pointer(table[11, 0]), table[11, 1], np.uint8),  # block_max
        carray(pointer(table[12, 0]), table[12, 1], np.uint32),  # slot_docs
        carray(pointer(table[13, 0]), table[13, 1], np.int32),  # term_positions
        carray(pointer(table[14, 0]), table[14, 1], TERM_INFO),  # term_info
    )


@kernel
def scratch_arrays(table, n_segments):
    """Scratch arrays of a search.

    Parameters
    ----------
    table : (9, 2) int64
        Address of each array that is returned, and its length: of a row where it has rows (of a
        segment for ``found``, of a part for ``cursors`` and ``cursor_order``).
    n_segments : int64

    Returns
    -------
    (candidates, scratch, keys, key_scores, found, n_found, cursors, cursor_order, parts)
        ``found`` and ``n_found`` are those of `score.terms.find_terms`, by segment; ``keys`` is the
        top-k buffer, the others are fields of `Workspace`.
    """
    candidates = carray(pointer(table[0, 0]), (N_CAND, table[0, 1]), np.uint32)
    scratch = carray(pointer(table[1, 0]), (N_SCRATCH, table[1, 1]), np.int64)
    keys = carray(pointer(table[2, 0]), table[2, 1], np.uint64)
    key_scores = carray(pointer(table[3, 0]), table[3, 1], np.uint32)
    found = carray(pointer(table[4, 0]), (n_segments, table[4, 1]), TERM)
    n_found = carray(pointer(table[5, 0]), n_segments, np.int64)
    cursors = carray(pointer(table[6, 0]), (MAX_PARTS, table[6, 1]), CURSOR)
    cursor_order = carray(pointer(table[7, 0]), (MAX_PARTS, table[7, 1]), np.int64)
    parts = carray(pointer(table[8, 0]), MAX_PARTS, PART)
    return candidates, scratch, keys, key_scores, found, n_found, cursors, cursor_order, parts
