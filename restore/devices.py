"""Which device and which precision to compute in; the only place that asks the hardware."""

from typing import Literal

import torch

from restore.errors import PrecisionError, UsageError

__all__ = ["Precision", "PrecisionChoice", "choose_device", "choose_precision", "compute_dtype", "has_fast_bfloat16"]

Precision = Literal["32", "bf16-mixed", "16-mixed"]
PrecisionChoice = Literal["auto", "32", "bf16-mixed", "16-mixed"]

_COMPUTE_DTYPES: dict[Precision, torch.dtype] = {
    "32": torch.float32,
    "bf16-mixed": torch.bfloat16,
    "16-mixed": torch.float16,
}


def choose_device(name: str = "auto") -> torch.device:
    """Turn a device name into a device that is present.

    Args:
        name: `auto` (the first GPU, else the CPU), `cpu`, `cuda`, `cuda:1`, `mps`.

    Returns:
        The device.

    Raises:
        UsageError: The name is unknown or the device is not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", 0)
        return torch.device("mps") if torch.backends.mps.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"unknown device {name!r}: use auto, cpu, cuda, cuda:N or mps") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"device {name!r} is not there: torch sees {torch.cuda.device_count()} CUDA device(s)")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UsageError("device 'mps' is not there: it needs macOS on Apple silicon")
    if device.type not in {"cpu", "cuda", "mps"}:
        raise UsageError(f"device {name!r} is not supported: use auto, cpu, cuda, cuda:N or mps")
    return device


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether `device` multiplies bfloat16 in hardware: an Ampere or newer GPU, or a CPU with AMX or AVX512-BF16."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        # Private in torch 2.11 to 2.15, and without a public equivalent in the older of them.
        supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
        return bool(supported is not None and supported())
    return False


def choose_precision(choice: PrecisionChoice, device: torch.device) -> Precision:
    """Resolve `auto`, and refuse what the device cannot do.

    `auto` is `bf16-mixed` where bfloat16 is computed in hardware, `16-mixed` on older GPUs, and `32` elsewhere.

    Args:
        choice: What was asked for.
        device: Where it will run.

    Returns:
        The precision, in Lightning's words.

    Raises:
        PrecisionError: The device has no such arithmetic.
    """
    if choice == "auto":
        if has_fast_bfloat16(device):
            return "bf16-mixed"
        return "16-mixed" if device.type == "cuda" else "32"
    if choice == "16-mixed" and device.type != "cuda":
        raise PrecisionError(
            f"precision 16-mixed needs a CUDA GPU, and this runs on {device.type!r}: "
            f"use --precision auto, which is {choose_precision('auto', device)} here"
        )
    if choice == "bf16-mixed" and device.type == "mps":
        raise PrecisionError("precision bf16-mixed is not available on 'mps': use --precision 32")
    return choice


def compute_dtype(precision: Precision) -> torch.dtype:
    """The dtype that convolutions run in under `precision`."""
    return _COMPUTE_DTYPES[precision]
