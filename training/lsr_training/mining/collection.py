"""Collection in which negatives are mined, and its indexes.

One JSON lines file with numbered documents: the corpus, then the positives that it lacks, so that
positives are scored like other documents.
"""

from __future__ import annotations

import filecmp
import hashlib
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson

from lsr.corpus import open_corpus
from lsr.encoders import load_encoder
from lsr.progress import Progress
from lsr_index.build.index_corpus import index_corpus
from lsr_index.hybrid import Retriever
from lsr_training.data import Example


class MiningCollection:
    """Documents in a folder, with an index for each encoder of a call of `retriever`.

    Parameters
    ----------
    folder : Path
        Kept between runs: an interrupted job reuses its indexes.
    examples : sequence of Example
    corpus : str or None
        What `lsr.corpus.open_corpus` opens; None mines in the documents of the examples.
    progress : callable
    """

    def __init__(
        self, folder: Path, examples: Sequence[Example], corpus: str | None, progress: Progress
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._progress = progress
        self._retrievers: dict[str, Retriever] = {}
        self._path = folder / "corpus.jsonl"
        self._positives = self._write(examples, corpus)

    def doc_id(self, positive: str) -> str:
        """Return the id of a positive."""
        return self._positives[key(positive)]

    def retriever(self, encoder: str) -> Retriever:
        """Return the index of an encoder's vectors, building it where there is none."""
        if encoder not in self._retrievers:
            digest = hashlib.sha256(encoder.encode()).hexdigest()[:8]
            name = re.sub(r"[^\w.-]+", "-", Path(encoder).name)
            path = self._folder / f"{name}-{digest}.index"
            if not path.exists():
                corpus = open_corpus(self._path)
                index_corpus(corpus, load_encoder(encoder), path, progress=self._progress).close()
            self._retrievers[encoder] = Retriever.open(path)
        return self._retrievers[encoder]

    def close(self) -> None:
        """Release the indexes."""
        for retriever in self._retrievers.values():
            retriever.close()

    def _write(self, examples: Sequence[Example], corpus: str | None) -> dict[str, str]:
        """Write the documents once, without repeats; return the ids of the positives."""
        wanted = {key(example.documents[0]) for example in examples}
        found: dict[str, str] = {}
        seen: set[str] = set()
        beside = self._path.with_suffix(".part")
        with beside.open("wb") as file:
            for text in _texts(examples, corpus):
                text_key = key(text)
                if text_key in seen or not text.strip():
                    continue
                doc_id = str(len(seen))
                seen.add(text_key)
                if text_key in wanted:
                    found[text_key] = doc_id
                file.write(orjson.dumps({"_id": doc_id, "text": text}) + b"\n")
                if len(seen) % 10_000 == 0:
                    self._progress("collecting documents", len(seen), None)
        if self._path.exists() and not filecmp.cmp(self._path, beside, shallow=False):
            # Other documents than last time: the indexes are not of these.
            for path in (*self._folder.glob("*.index"), *self._folder.glob("*.building")):
                shutil.rmtree(path)
        beside.replace(self._path)
        return found


def key(text: str) -> str:
    """Return a key that is equal for texts equal up to white space."""
    return hashlib.sha256(" ".join(text.split()).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _texts(examples: Sequence[Example], corpus: str | None) -> Iterator[str]:
    if corpus is not None:
        for document in open_corpus(corpus):
            yield document.contents
    for example in examples:
        yield from example.documents if corpus is None else example.documents[:1]
