"""The process that reads pickled weights: torch's weights-only loader, then safetensors.

`lsr.encoders.neural.convert` starts it as a script that imports nothing of this package, with one
pickle and one file to write, and checks that file itself.
"""

import sys


def convert(source: str, target: str) -> None:
    """Rewrite one file of pickled tensors as safetensors.

    Tensors that share memory (tied matrices, views) are written one by one: transformers ties them
    again by the configuration, and no name is lost.
    """
    import torch
    from safetensors.torch import load_file, save_file

    loaded = torch.load(source, map_location="cpu", weights_only=True)
    if isinstance(loaded, dict) and isinstance(loaded.get("state_dict"), dict):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, dict):
        raise ValueError(f"holds a {type(loaded).__name__}, expected named tensors")
    tensors = {}
    for name, value in loaded.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise ValueError(f"holds {name!r}: {type(value).__name__}, expected named tensors")
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise ValueError(f"tensor {name} holds values that are not finite")
        tensors[name] = value.detach().clone().contiguous()
    save_file(tensors, target, metadata={"format": "pt"})
    written = load_file(target)
    for name, tensor in tensors.items():
        if written[name].dtype != tensor.dtype or not torch.equal(written[name], tensor):
            raise ValueError(f"tensor {name} was not written as it was read")


if __name__ == "__main__":
    try:
        convert(sys.argv[1], sys.argv[2])
    except Exception as error:
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        sys.stderr.write(f"{type(error).__name__}: {first[:300]}\n")
        sys.exit(1)
