"""Which device to compute on and in which precision, chosen once."""

from typing import Literal

import torch

from foolscope.core.errors import RecipeError

__all__ = ["Precision", "multiplies_bfloat16", "resolve_device", "resolve_precision"]

Precision = Literal["auto", "float32", "bfloat16", "float64"]


def resolve_device(name: str = "auto") -> torch.device:
    """Return the torch device of a name, or fail if it is not available.

    Args:
        name: ``"auto"`` (a CUDA device where there is one, else the CPU) or any torch device name.

    Raises:
        RecipeError: the device is unknown or absent.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device).tolist()  # fails where values cannot be read, as on "meta"
    except (RuntimeError, AssertionError, ImportError) as error:
        raise RecipeError(f"device must be 'auto', 'cpu' or an available device; got {name!r}") from error
    return device


def multiplies_bfloat16(device: torch.device) -> bool:
    """Return whether the device has instructions that multiply bfloat16 matrices faster than float32.

    They are the AMX tiles or AVX-512 BF16 dot products of a processor, and the tensor cores of a GPU since
    Ampere.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and bool(
        torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    )


def resolve_precision(name: Precision, device: torch.device) -> Literal["float32", "bfloat16", "float64"]:
    """Turn ``"auto"`` into bfloat16 where the device has instructions for it and float32 elsewhere.

    The precision names the data type of the products; master weights are never below float32.
    """
    if name != "auto":
        return name
    return "bfloat16" if multiplies_bfloat16(device) else "float32"
