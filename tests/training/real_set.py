"""A small real set, cut out of the shared folder: summaries of papers and their abstracts.

A summary of one sentence is the query, its abstract the relevant document. Queries to train on, to
choose settings by (dev) and to report (test) are different papers. The encoder is a real one whose
vocabulary is cut to the word pieces that these texts hold, so that a step takes a tenth of the
time. It is the teacher. Students start from its weights with noise on the layers between
embeddings and output: of some worth, but far from what there is to learn.
"""

from __future__ import annotations

import gzip
import json
import shutil
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch
from tokenizers import Tokenizer

from lsr.encoders.neural.transformer_body import quiet
from lsr_training.mining import MiningOptions, mine
from lsr_training.recipe.schema import Source

N_TRAIN, N_DEV, N_TEST = 160, 80, 120
LENGTHS = {"query": 20, "document": 40}
BLUR = 0.55


class RealSet(NamedTuple):
    """Where the parts lie: the start of all students, mined and scored training data, and a
    collection with the splits dev and test."""

    backbone: Path
    teacher: Path
    train: Path
    collection: Path


def make_real_set(folder: Path, encoder: Path, pairs: Path) -> RealSet:
    """Write a real set.

    Parameters
    ----------
    folder : Path
        Where to.
    encoder : Path
        A masked language model of the BERT family.
    pairs : Path
        Gzipped JSON lines with ``query`` and ``positive``.
    """
    with gzip.open(pairs, "rt", encoding="utf-8") as file:
        records = [json.loads(line) for line in islice(file, N_TRAIN + N_DEV + N_TEST)]
    write_cut_encoder(folder / "teacher", encoder, records)
    write_blurred(folder / "backbone", folder / "teacher")
    write_collection(folder / "collection", records[N_TRAIN:])
    lines = [
        json.dumps({"query": r["query"], "positive": r["positive"]}) for r in records[:N_TRAIN]
    ]
    (folder / "pairs.jsonl").write_text("\n".join(lines))
    options = MiningOptions(negatives=4, depth=20, teachers=["bm25", str(folder / "teacher")])
    mined = mine(Source(path=str(folder / "pairs.jsonl")), folder / "train.jsonl", options)
    return RealSet(folder / "backbone", folder / "teacher", mined.path, folder / "collection")


def write_collection(folder: Path, records: list[dict[str, Any]]) -> None:
    """Write abstracts as one collection in BEIR layout; the first queries are dev, then test."""
    (folder / "qrels").mkdir(parents=True)
    lines = [json.dumps({"_id": f"d{i}", "text": r["positive"]}) for i, r in enumerate(records)]
    (folder / "corpus.jsonl").write_text("\n".join(lines))
    lines = [json.dumps({"_id": f"q{i}", "text": r["query"]}) for i, r in enumerate(records)]
    (folder / "queries.jsonl").write_text("\n".join(lines))
    edges = {"dev": (0, N_DEV), "test": (N_DEV, len(records))}
    for split, (low, high) in edges.items():
        judged = [f"q{i}\td{i}\t1" for i in range(low, high)]
        text = "\n".join(["query-id\tcorpus-id\tscore", *judged])
        (folder / "qrels" / f"{split}.tsv").write_text(text)


def write_blurred(folder: Path, encoder: Path) -> None:
    """Write an encoder with seeded noise added to the matrices of its layers."""
    import transformers

    with quiet(), torch.no_grad():
        model = transformers.AutoModelForMaskedLM.from_pretrained(encoder)
        generator = torch.Generator().manual_seed(0)
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and "embeddings" not in name:
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.add_(BLUR * parameter.std() * noise)
        model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(encoder / name, folder / name)


def write_cut_encoder(folder: Path, encoder: Path, records: list[dict[str, Any]]) -> None:
    """Write an encoder without the word pieces that none of the texts holds."""
    import transformers

    content = json.loads((encoder / "tokenizer.json").read_text())
    content["truncation"] = content["padding"] = None
    tokenizer = Tokenizer.from_str(json.dumps(content))
    held = {token["id"] for token in content["added_tokens"]}
    for key, length in (("query", LENGTHS["query"]), ("positive", LENGTHS["document"])):
        tokenizer.enable_truncation(length)
        for encoding in tokenizer.encode_batch([r[key] for r in records]):
            held.update(encoding.ids)
    kept = sorted(held)
    numbers = {tokenizer.id_to_token(old): new for new, old in enumerate(kept)}
    content["model"]["vocab"] = numbers
    for token in content["added_tokens"]:
        token["id"] = numbers[token["content"]]
    for token, special in content["post_processor"]["special_tokens"].items():
        special["ids"] = [numbers[token]]
    folder.mkdir(parents=True)
    (folder / "tokenizer.json").write_text(json.dumps(content))
    (folder / "tokenizer_config.json").write_text((encoder / "tokenizer_config.json").read_text())
    with quiet():
        whole = transformers.AutoModelForMaskedLM.from_pretrained(encoder)
        config = whole.config
        n_before, config.vocab_size = config.vocab_size, len(kept)
        cut = transformers.AutoModelForMaskedLM.from_config(config)
        rows = torch.tensor(kept)
        weights = {
            name: tensor[rows] if len(tensor.shape) and len(tensor) == n_before else tensor
            for name, tensor in whole.state_dict().items()
        }
        cut.load_state_dict(weights)
        cut.save_pretrained(folder)
