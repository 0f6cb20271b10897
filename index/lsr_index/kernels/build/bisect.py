"""One step of recursive graph bisection [Dhulipala et al., KDD 2016, section 3]."""

from __future__ import annotations

import numpy as np

from lsr_index.kernels.jit import kernel


@kernel
def move_costs(here, there, n_here, n_there, out):
    """Cost saved, by term, when a document moves from ``here`` to ``there``.

    Cost of a term in a half: ``d * log2(n / (d + 1))``, the bits of its gaps.
    """
    log_here = np.log2(np.float64(n_here))
    log_there = np.log2(np.float64(n_there))
    for t in range(here.size):
        a, b = np.float64(here[t]), np.float64(there[t])
        if a > 0.0:
            before = a * (log_here - np.log2(a + 1.0)) + b * (log_there - np.log2(b + 1.0))
            after = (a - 1.0) * (log_here - np.log2(a)) + (b + 1.0) * (log_there - np.log2(b + 2.0))
            out[t] = before - after


@kernel
def bisect_slice(indptr, terms, order, gains, begin, end, n_terms, iterations):
    """Bisect ``order[begin:end]`` into halves of similar documents.

    Parameters
    ----------
    indptr, terms : (n_docs + 1,) int64, (nnz,) uint32
        Forward index; terms below ``n_terms``.
    order : (n_docs,) uint32
        The slice is permuted in place.
    gains : (n_docs,) float64
        Scratch, by position.
    """
    middle = (begin + end) // 2
    left = np.zeros(n_terms, np.int64)
    right = np.zeros(n_terms, np.int64)
    leave_left = np.zeros(n_terms, np.float64)
    leave_right = np.zeros(n_terms, np.float64)
    for at in range(begin, end):
        doc = order[at]
        side = left if at < middle else right
        for j in range(indptr[doc], indptr[np.int64(doc) + 1]):
            side[terms[j]] += 1
    for _ in range(iterations):
        move_costs(left, right, middle - begin, end - middle, leave_left)
        move_costs(right, left, end - middle, middle - begin, leave_right)
        for at in range(begin, end):
            doc = order[at]
            saves = leave_left if at < middle else leave_right
            gain = 0.0
            for j in range(indptr[doc], indptr[np.int64(doc) + 1]):
                gain += saves[terms[j]]
            gains[at] = gain
        first = np.argsort(-gains[begin:middle], kind="mergesort")
        second = np.argsort(-gains[middle:end], kind="mergesort")
        moved = 0
        for i in range(min(first.size, second.size)):
            a, b = begin + first[i], middle + second[i]
            if gains[a] + gains[b] <= 0.0:
                break
            one, other = order[a], order[b]
            for j in range(indptr[one], indptr[np.int64(one) + 1]):
                left[terms[j]] -= 1
                right[terms[j]] += 1
            for j in range(indptr[other], indptr[np.int64(other) + 1]):
                left[terms[j]] += 1
                right[terms[j]] -= 1
            order[a] = other
            order[b] = one
            moved += 1
        if moved * 200 < end - begin:
            break
