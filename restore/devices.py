"""Which device and which precision to compute in; the only place that asks the hardware."""

import functools
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Literal, get_args

import torch

from restore.errors import PrecisionError, UsageError

__all__ = [
    "InferenceChoice",
    "InferencePrecision",
    "Precision",
    "PrecisionChoice",
    "SuppressOutOfMemory",
    "choose_device",
    "choose_inference_precision",
    "choose_precision",
    "compute_dtype",
    "computing_in",
    "has_fast_bfloat16",
    "has_fast_int8",
]

_log = logging.getLogger(__name__)

Precision = Literal["32", "bf16-mixed", "16-mixed"]
PrecisionChoice = Literal["auto", "32", "bf16-mixed", "16-mixed"]
InferencePrecision = Literal["32", "bf16-mixed", "16-mixed", "int8"]
InferenceChoice = Literal["auto", "fast", "32", "bf16-mixed", "16-mixed", "int8"]

_COMPUTE_DTYPES: dict[InferencePrecision, torch.dtype] = {
    "int8": torch.bfloat16,
    "32": torch.float32,
    "bf16-mixed": torch.bfloat16,
    "16-mixed": torch.float16,
}

_OUT_OF_MEMORY = (
    "DefaultCPUAllocator",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "STATUS_NOT_INITIALIZED",  # cuBLAS and cuDNN, which take memory of their own when they start
    "CUFFT_ALLOC_FAILED",
    "CUFFT_INTERNAL_ERROR",
    "unable to find an engine",  # cuDNN, when none fits into what is left
    "out of memory",
    "Invalid buffer size",  # MPS
)


def choose_device(name: str = "auto") -> torch.device:
    """Turn a device name into a device that is present.

    Args:
        name: `auto` (the first GPU if this torch can compute on it, else the CPU), `cpu`, `cuda`, `cuda:1`, `mps`.

    Returns:
        The device.

    Raises:
        UsageError: The name is unknown or the device is not there.
    """
    if name == "auto":
        if torch.cuda.is_available() and _computes(torch.device("cuda", 0)):
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


@functools.cache
def _computes(device: torch.device) -> bool:
    """Whether this torch was built for a GPU; one that is too old for it is there all the same."""
    try:
        torch.zeros(1, device=device).add_(1)[0].item()
    except RuntimeError as error:
        _log.warning("%s is left alone: %s", device, str(error).partition("\n")[0])
        return False
    return True


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether `device` multiplies bfloat16 faster than float32.

    GPUs since Ampere, and CPUs with AMX or AVX512-BF16, but those of Intel without AMX: on two such cores (Granite
    Rapids with AMX hidden) convolutions of 128 channels ran at 0.15 TFLOP/s in bfloat16 and 0.24 in float32.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and _has_bfloat16() and (_has_amx() or not _is_intel())


def has_fast_int8(device: torch.device) -> bool:
    """Whether `device` is a CPU that multiplies bfloat16 and 8-bit integers in hardware, and this torch knows how."""
    known = hasattr(torch.ops.onednn, "qconv2d_pointwise")
    return device.type == "cpu" and _has_bfloat16() and _cpu("_is_vnni_supported") and known


def _has_bfloat16() -> bool:
    return _cpu("_is_avx512_bf16_supported")


def _has_amx() -> bool:
    return _cpu("_is_amx_tile_supported")


def _cpu(question: str) -> bool:
    """Ask what is private in torch 2.11 to 2.15, and without a public equivalent in the older of them."""
    answer = getattr(torch.cpu, question, None)
    return bool(answer is not None and answer())


def _is_intel() -> bool:
    known = getattr(torch.cpu, "get_capabilities", None)  # in newer torch only
    capabilities = known() if known is not None else {}
    return "intel" in str(capabilities.get("cpu_name", "")).lower()


def choose_precision(choice: PrecisionChoice, device: torch.device) -> Precision:
    """Resolve `auto`, and refuse what the device cannot do.

    `auto` is `bf16-mixed` where bfloat16 is faster than float32, `16-mixed` on older GPUs, and `32` elsewhere.

    Args:
        choice: What was asked for.
        device: Where it will run.

    Returns:
        The precision, in Lightning's words.

    Raises:
        UsageError: There is no such precision.
        PrecisionError: The device has no such arithmetic.
    """
    if choice not in get_args(PrecisionChoice):
        raise UsageError(f"precision {choice!r}: use one of {', '.join(get_args(InferenceChoice))}")
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
    if choice == "bf16-mixed" and device.type == "cuda" and not has_fast_bfloat16(device):
        raise PrecisionError(f"precision bf16-mixed needs a GPU since Ampere, and {device} is older: use 16-mixed")
    return choice


def choose_inference_precision(choice: InferenceChoice, device: torch.device, has_ranges: bool) -> InferencePrecision:
    """Resolve `auto` and `fast`, and refuse what device or bundle cannot do.

    `fast` is `int8` where both have it and the CPU has no AMX, and else `auto`, as for `choose_precision`: with AMX,
    arithmetic in bfloat16 is a small part of the time, and nobody has measured whether integers win there.

    Args:
        choice: What was asked for.
        device: Where it will run.
        has_ranges: Whether the bundle says how large its activations get.

    Raises:
        PrecisionError: The device has no such arithmetic, or the bundle no ranges for it.
    """
    if choice == "fast":
        integers = has_ranges and has_fast_int8(device) and not _has_amx()
        return "int8" if integers else choose_precision("auto", device)
    if choice != "int8":
        return choose_precision(choice, device)
    if not has_fast_int8(device):
        raise PrecisionError(
            f"precision int8 needs a CPU with AMX or AVX512-BF16 and VNNI, and this runs on {device.type!r}: "
            f"use --precision auto, which is {choose_precision('auto', device)} here"
        )
    if not has_ranges:
        raise PrecisionError("precision int8 needs a bundle with ranges for it, and this one has none: use auto")
    return "int8"


def compute_dtype(precision: InferencePrecision) -> torch.dtype:
    """The dtype that convolutions run in under `precision`; for `int8`, those that are not quantised."""
    return _COMPUTE_DTYPES[precision]


@contextmanager
def computing_in(precision: InferencePrecision, device: torch.device) -> Iterator[None]:
    """Autocast to `precision`, while it is open; `32` is float32 on a GPU, too, whose convolutions would take TF32."""
    convolutions = torch.backends.cudnn.conv  # type: ignore[attr-defined]  # made when torch is imported
    usual = convolutions.fp32_precision
    if precision == "32":
        convolutions.fp32_precision = "ieee"
    try:
        with torch.autocast(device.type, compute_dtype(precision), enabled=precision != "32"):
            yield
    finally:
        convolutions.fp32_precision = usual


class SuppressOutOfMemory(AbstractContextManager[None]):
    """Go on behind the block where the device had no room left; no traceback keeps the block's tensors alive there."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Whether that ended the block: torch's allocators have an error of their own for it, others only words."""
        told = isinstance(error, RuntimeError) and any(words in str(error) for words in _OUT_OF_MEMORY)
        return told or isinstance(error, torch.OutOfMemoryError)
