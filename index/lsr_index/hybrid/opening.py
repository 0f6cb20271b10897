"""The branches of indexes, open or on the disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lsr.encoders import restore_encoder
from lsr.encoders.base import QueryEncoder
from lsr.encoders.dense import DenseEncoder
from lsr_index.hybrid.branch import Branch
from lsr_index.hybrid.dense_branch import DenseBranch
from lsr_index.hybrid.sparse_branch import SparseBranch, refuse_another_encoder
from lsr_index.search.index import Index, open_index


def branches_of(
    index: Index, encoder: QueryEncoder | None, dense_encoder: DenseEncoder | None = None
) -> list[Branch]:
    """Return the branches of an open index: ``sparse``, and ``dense`` where it has such vectors."""
    branches: list[Branch] = [SparseBranch(index, encoder)]
    if index.dense is not None:
        branches.append(DenseBranch(index, dense_encoder))
    return branches


def open_branches(paths: Sequence[Path | str], encoder: QueryEncoder | None = None) -> list[Branch]:
    """Open indexes of the same documents; return the branches of each.

    Parameters
    ----------
    paths : sequence of path
        With more than one, branches are named after the folders: ``NAME`` for sparse vectors,
        ``NAME-dense`` for dense ones.
    encoder : QueryEncoder, optional
        Of the first index, instead of the stored one.
    """
    branches: list[Branch] = []
    for at, path in enumerate(paths):
        index = open_index(path)
        opened = branches_of(index, query_encoder(index, encoder if at == 0 else None))
        if len(paths) > 1:
            name = index.path.resolve().name.removesuffix(".index")
            for branch in opened:
                branch.name = name if branch.kind == "sparse" else f"{name}-dense"
        branches += opened
    return branches


def query_encoder(index: Index, given: QueryEncoder | None) -> QueryEncoder | None:
    """Return a given query encoder once it is known to fit, or restore the stored one."""
    if given is not None:
        refuse_another_encoder(index, given)
        return given
    return None if index.encoder_assets is None else restore_encoder(index.encoder_assets)
