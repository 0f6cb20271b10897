"""Dense vectors inside an index: stored, found, and kept consistent with everything else.

They are part of the segments, so commits, deletes, filters, merges, snapshots and checks cover them
like the postings. Below a size every vector is compared (exact); above it vectors are clustered and
a search opens the clusters nearest to the query (inverted file, IVF).
"""
