"""What figures were measured on."""

import os
import platform
from pathlib import Path

import torch

__all__ = ["machine_name"]

_BFLOAT16 = {"amx_bf16": "AMX", "avx512_bf16": "AVX-512 BF16"}


def machine_name(device: torch.device) -> str:
    """A GPU's name; of a CPU the processor, its cores, and how it computes bfloat16."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cores = f"{os.cpu_count()} cores"
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
        flags = next(line for line in lines if line.startswith("flags"))
    except (OSError, StopIteration):  # not Linux on x86
        return f"{platform.processor() or platform.machine()}, {cores}"
    return f"{name}, {cores}, {next((kind for flag, kind in _BFLOAT16.items() if flag in flags), 'no bfloat16')}"
