"""Sparsity penalties: functions of a matrix of vectors, a row for each text of the global batch.

Each is a mean over rows in some form, so that a weight found with one batch size, number of devices
or number of documents for each query means the same with another. (Code that sums FLOPS over the
positions of a group, or over devices, multiplies the weight by their number.)

The *IDF-aware* penalty of Geng et al. (arXiv 2411.04403), §3, is no function of its own: it is
`flops` of document vectors `d` while the *matching function* is ``sum_j IDF_j d_j``. In terms of
the effective impact ``u_j = IDF_j d_j`` the penalty is then ``sum_j (mean u_j / IDF_j)^2``, mild on
rare terms and hard on common ones.
"""

from lsr_training.regularisers.collapse import anti_collapse
from lsr_training.regularisers.document_frequency import df_flops, df_weights
from lsr_training.regularisers.flops import flops, l0_flops, l1

__all__ = ["anti_collapse", "df_flops", "df_weights", "flops", "l0_flops", "l1"]
