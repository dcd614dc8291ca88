"""What is done to a photo of a batch, how far it has come, and what became of it."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from restore.errors import UnreadableImageError, UsageError
from restore.images.codec import encode_document
from restore.images.document import MAX_PIXELS, Document, Encoded, Page, shown
from restore.images.files import PlannedImage
from restore.images.formats import FORMATS
from restore.inference.damage import Damage
from restore.inference.journal import SourceState, state_of
from restore.inference.masks import MaskFolder

__all__ = ["COMPARE", "RESIDUAL", "BatchOptions", "Job", "PhotoResult", "Status"]

RESIDUAL, COMPARE = "residual.png", "compare.jpg"
"""Views: what there is to look at beside a result, named as `restore.images.files.view_of` says."""

Status = Literal["restored", "copied", "converted", "skipped", "failed"]


@dataclass(frozen=True)
class BatchOptions:
    """What is done to every picture.

    Attributes:
        auto: Copy pictures byte for byte that are clean already.
        strength: How much of the change is made, from 0 to 1.
        overwrite: Make results again that exist. Sources are never written.
        quality: Of JPEG, WebP, AVIF and HEIC, 1 to 100; the source's own if left out.
        masks: Where masks are, for bundles that fill in.
        residual: Write what was removed beside each result, grey where nothing was: `NAME.residual.png`.
        compare: Write source and result side by side beside each result: `NAME.compare.jpg`.
        max_pixels: Larger pictures are refused.
        workers: Threads that encode and write.
        thumbnails: Keep small pictures of before and after in each result, for a report.
    """

    auto: bool = True
    strength: float = 1.0
    overwrite: bool = False
    quality: int | None = None
    masks: MaskFolder | None = None
    residual: bool = False
    compare: bool = False
    max_pixels: int = MAX_PIXELS
    workers: int = 2
    thumbnails: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            UsageError: A number is out of range.
        """
        if not 0.0 <= self.strength <= 1.0:
            raise UsageError(f"strength: must be from 0 to 1, not {self.strength:g}")
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise UsageError(f"quality: must be from 1 to 100, not {self.quality}")
        if self.workers < 1:
            raise UsageError(f"workers: must be 1 or more, not {self.workers}")
        if self.max_pixels < 1:
            raise UsageError(f"max_pixels: must be 1 or more, not {self.max_pixels}")

    @property
    def views(self) -> tuple[str, ...]:
        """The views that were asked for."""
        wanted = ((RESIDUAL, self.residual), (COMPARE, self.compare))
        return tuple(view for view, is_wanted in wanted if is_wanted)


@dataclass(frozen=True)
class PhotoResult:
    """What became of one photo.

    Attributes:
        source: The photo.
        target: Its result, there if `status` is `restored`, `copied` or `converted`.
        status: `restored`; `copied` (byte for byte: nothing was to be done); `converted` (nothing was to be done, and
            stored anew, as another format or quality was asked for); `skipped` (see `reason`); `failed`.
        reason: Why it was not restored.
        notes: What could not be kept, and what went other than planned.
        damage: What was estimated before; None where nobody asked.
        megapixels: Size of the picture.
        network_seconds: Time in the network, tiling and conversion included.
        seconds: Time from the start of reading to the end of writing.
        thumbnails: JPEG files of before and after, if asked for.
    """

    source: Path
    target: Path
    status: Status
    reason: str = ""
    notes: tuple[str, ...] = ()
    damage: Damage | None = None
    megapixels: float = 0.0
    network_seconds: float = 0.0
    seconds: float = 0.0
    thumbnails: tuple[bytes, bytes] | None = field(default=None, repr=False)


@dataclass
class Job:
    """A picture on its way through the stages of a batch.

    Attributes:
        plan: Where it comes from and where it goes.
        start: When its reading began, in seconds.
        result: What became of it, set as soon as it is known.
        document: Its file.
        state: Its file as it was when it was read.
        page: Its pixels, of a picture of one page, as long as they are wanted.
        mask: `(H, W)`, True = missing; None if it has none.
        mask_state: The mask's file as it was when it was read.
        restored: Its pixels after the network.
        encoded: Its result, of a picture of several pages.
        copy: The reason to copy it as it is.
        notes: What there is to say of it.
        damage: What was estimated.
        network_seconds: Time in the network so far.
        pixels: How many it has taken from the budget.
        megapixels: Its size.
    """

    plan: PlannedImage
    start: float
    result: PhotoResult | None = None
    document: Document | None = None
    state: SourceState | None = None
    page: Page | None = None
    mask: npt.NDArray[np.bool_] | None = None
    mask_state: SourceState | None = None
    restored: Page | None = None
    encoded: Encoded | None = None
    copy: str = ""
    notes: list[str] = field(default_factory=list)
    damage: Damage | None = None
    network_seconds: float = 0.0
    pixels: int = 0
    megapixels: float = 0.0

    def ended(self, status: Status, reason: str = "") -> PhotoResult:
        """What became of it, now."""
        return PhotoResult(
            self.plan.source,
            self.plan.target,
            status,
            reason,
            tuple(self.notes),
            self.damage,
            self.megapixels,
            self.network_seconds,
            time.perf_counter() - self.start,
        )

    def needs_encoding(self, quality: int | None) -> bool:
        """Whether another format or quality was asked for, so that not even a clean picture can stay as it is."""
        before, after = (path.suffix.lower() for path in (self.plan.source, self.plan.target))
        if quality is not None:
            return True
        if before == after and not self.plan.as_named:
            return False
        name = FORMATS.get(after)  # .jpeg and .jpg are one; of the others, suffixes tell kinds apart
        if before != after and name not in {"JPEG", "TIFF"}:
            return True
        return self.document is None or self.document.format != name

    def encode(self, document: Document, pages: Iterator[Page], quality: int | None) -> Encoded:
        """Its result.

        Raises:
            UnsupportedImageError: The format cannot hold it.
        """
        plan = self.plan
        return encode_document(document, pages, plan.target.suffix, quality, plan.as_named)

    def success(self, quality: int | None) -> Literal["restored", "copied", "converted"]:
        """What its result is, once it is written."""
        if not self.copy:
            return "restored"
        return "converted" if self.needs_encoding(quality) else "copied"

    def check_unchanged(self) -> None:
        """Refuse to go on with a file that is no longer what was read.

        Raises:
            UnreadableImageError: It changed or vanished.
        """
        try:
            unchanged = state_of(self.plan.source) == self.state
        except OSError:
            unchanged = False
        if not unchanged:
            raise UnreadableImageError(f"{shown(self.plan.source)}: changed or vanished while it was read; run again")
