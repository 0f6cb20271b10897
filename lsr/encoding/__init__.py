"""Encode jobs: a corpus to shards of vectors on disk, in bounded memory, resumable.

`encode_corpus` is the job, `EncodedCollection` its result. In the folder of a job:

======================= =================================================================
``job.json``            what is encoded with what, and how many shards are complete
``shard-00000.parquet`` ids, raw vectors, titles, texts and metadata of so many documents
``shard-00000.npy``     their dense vectors, when there is a dense encoder
``shard-00000.npz``     what the shard added to the counts and the state of the encoder
``lock``                held while a process works here
======================= =================================================================

A shard is written under another name, synced and renamed, first the vectors, then the counts, and
only then does ``job.json`` count it. Whatever moment a process dies at, the next one continues
after the last counted shard and writes the same bytes as one that was never interrupted.
"""

from lsr.encoding.job import encode_corpus
from lsr.encoding.plan import remove_job
from lsr.encoding.shards import EncodedCollection

__all__ = ["EncodedCollection", "encode_corpus", "remove_job"]
