"""Restoring many files: each one is decoded, restored, encoded and written whole, or reported."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from restore.errors import RestoreError
from restore.images.codec import decode, encode
from restore.images.files import PlannedImage, write_atomically
from restore.inference.restorer import Restorer

__all__ = ["PhotoResult", "restore_files"]


@dataclass(frozen=True)
class PhotoResult:
    """What became of one photo.

    Attributes:
        source: The photo.
        target: Its restored file, there if `status` is `restored`.
        status: `restored`, `skipped` (the target exists) or `failed`.
        reason: Why it was skipped or failed.
        megapixels: Size of the picture.
        network_seconds: Time in the network, tiling and conversion included.
        seconds: Time in all.
    """

    source: Path
    target: Path
    status: Literal["restored", "skipped", "failed"]
    reason: str = ""
    megapixels: float = 0.0
    network_seconds: float = 0.0
    seconds: float = 0.0


def restore_files(restorer: Restorer, plans: Sequence[PlannedImage], overwrite: bool = False) -> Iterator[PhotoResult]:
    """Restore photos one after the other; a broken one does not stop the rest.

    Args:
        restorer: What restores.
        plans: From `restore.images.files.plan_outputs`, which has checked them against each other.
        overwrite: Replace targets that exist; they are skipped otherwise. Sources are never written.

    Yields:
        One result per photo, in order.
    """
    for plan in plans:
        start = time.perf_counter()
        if plan.target.exists() and not overwrite:
            yield PhotoResult(plan.source, plan.target, "skipped", "exists already; --overwrite replaces it")
            continue
        try:
            picture = decode(plan.source)
            before = time.perf_counter()
            restored = restorer.restore(picture.pixels)
            network_seconds = time.perf_counter() - before
            del picture  # before encoding, which takes another copy
            write_atomically(plan.target, encode(restored, plan.target.suffix))
        except RestoreError as error:
            yield PhotoResult(plan.source, plan.target, "failed", str(error))
            continue
        except Exception as error:  # noqa: BLE001  # the boundary of one file: reported, and the others go on
            yield PhotoResult(plan.source, plan.target, "failed", f"{plan.source}: {type(error).__name__}: {error}")
            continue
        height, width = restored.shape[:2]
        yield PhotoResult(
            plan.source,
            plan.target,
            "restored",
            megapixels=height * width / 1e6,
            network_seconds=network_seconds,
            seconds=time.perf_counter() - start,
        )
