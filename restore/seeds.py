"""Randomness by counter: a generator is a pure function of what it is for, never of what ran before it."""

import hashlib

import torch

__all__ = ["derive_seed", "generator_for"]


def derive_seed(*parts: int | str) -> int:
    """Mix any number of integers and strings into one seed.

    The result depends on the parts, their order and their types, and on nothing else: not on the process, the worker,
    the platform or `PYTHONHASHSEED`.

    Args:
        parts: What the randomness is for, for instance `(seed, "split", "holiday/beach.jpg")`.

    Returns:
        An integer in [0, 2**63).
    """
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    digest = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generator_for(*parts: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh generator seeded by `derive_seed(*parts)`.

    Args:
        parts: What the randomness is for.
        device: Where the generator draws. Equal seeds on a CPU and a GPU give different numbers.

    Returns:
        A generator that shares nothing with torch's global state.
    """
    return torch.Generator(device=device).manual_seed(derive_seed(*parts))
