"""The stored encoder of an index: its configuration and arrays, in a container."""

from __future__ import annotations

from lsr.encoders.base import EncoderAssets, Fingerprint
from lsr.errors import CorruptIndexError
from lsr_index.storage.container import Container, ContainerWriter, FileEntry
from lsr_index.storage.transaction import WritableFolder


def write_assets(writable: WritableFolder, assets: EncoderAssets) -> FileEntry:
    """Write an encoder; equal assets make an equal file, whatever the generation."""

    def fill(container: ContainerWriter) -> dict[str, object]:
        for name in sorted(assets.arrays):
            container.add(name, assets.arrays[name])
        return {"config": dict(assets.config)}

    return writable.write_container("encoder", fill)


def read_assets(container: Container) -> EncoderAssets:
    """Read an encoder; compares all checksums."""
    container.check()
    config = container.params.get("config")
    if not isinstance(config, dict):
        raise CorruptIndexError("the encoder has no configuration", container.path)
    return EncoderAssets(config, container.arrays(""))


def differences(stored: Fingerprint, given: Fingerprint) -> str:
    """Return the fields in which an encoder differs from the one that made an index."""
    theirs, ours = dict(stored.document), dict(given.document)
    return "; ".join(
        f"{key}: index {theirs.get(key)!r}, given {ours.get(key)!r}"
        for key in sorted(theirs.keys() | ours.keys())
        if theirs.get(key) != ours.get(key)
    )
