"""The one way from a damaged picture to a restored one: commands, scores and panels all use it."""

import logging
import math
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar, overload

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from restore.devices import (
    InferenceChoice,
    InferencePrecision,
    SuppressOutOfMemory,
    choose_device,
    choose_inference_precision,
    choose_precision,
    computing_in,
)
from restore.errors import ImageError, UnsupportedImageError, UsageError
from restore.images.tensors import LEVELS, is_finite, to_float, to_integers
from restore.inference.guard import (
    flattest_windows,
    limit_change,
    noise_level,
    noise_level_of_windows,
    window_places,
)
from restore.inference.picture import ArrayPicture, MaskLike, Picture, TensorPicture, as_mask
from restore.inference.survey import Whole, find_blur
from restore.inference.tiling import Box, default_overlap, plan_tiles
from restore.models.base import RestorationNetwork, composite
from restore.models.blur_estimation import Blur
from restore.models.bundle import ModelCard, load_bundle
from restore.models.int8 import quantise_blocks

__all__ = ["Restorer"]

_log = logging.getLogger(__name__)

_SMALLEST_TILE = 256
"""Side below which more memory would be spent on overlaps than is saved, in pixels."""

P = TypeVar("P", np.uint8, np.uint16)


class Restorer:
    """A network on a device, in a precision, with a way to cut large pictures.

    Args:
        network: Restores `(B, C, H, W)`.
        composites: Whether known pixels come back untouched.
        device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.
        precision: `auto` is bfloat16 where it is faster than float32, float16 on older GPUs, float32 elsewhere; `fast`
            is `int8` where the CPU computes that and the card has ranges for it, else `auto`.
        tile: Longest side of a tile in pixels, what memory depends on; by the network if left out.
        overlap: How far tiles are read beyond what is kept of them, in pixels; by the network if left out, see
            `default_overlap`.
        card: What the bundle says of itself, if there is one.

    Attributes:
        guarded: Whether its changes are limited by the noise in flat parts, as the card says; may be set.
        notes: What went other than planned in the last picture: smaller tiles, another device, a retry.
        changes: How much each picture of the last call was changed: the root mean square, relative to its full range.

    Raises:
        UsageError: Device or tile cannot be.
        PrecisionError: The device does not have that precision, or the bundle no ranges for it.
    """

    def __init__(
        self,
        network: RestorationNetwork,
        composites: bool = False,
        device: str = "auto",
        precision: InferenceChoice = "auto",
        tile: int | None = None,
        overlap: int | None = None,
        card: ModelCard | None = None,
    ) -> None:
        self.device = choose_device(device)
        has_ranges = card is not None and bool(card.ranges)
        self.precision = choose_inference_precision(precision, self.device, has_ranges)
        self.composites, self.card = composites, card
        self.tile = network.tile if tile is None else tile
        self.guarded, self.turned = card is not None and card.guarded, card is not None and card.turned
        self.overlap = default_overlap(network.size_multiple, network.finds_blur) if overlap is None else overlap
        # Refuses what cannot be before the first picture.
        plan_tiles(1, 1, self.tile, self.overlap, network.size_multiple)
        self.notes: list[str] = []
        self.changes: list[float] = []
        self.network = network.eval()
        if self.precision == "int8" and card is not None:
            quantise_blocks(self.network, card.ranges)
        self.network.to(self.device)
        self.network.to(memory_format=torch.channels_last)

    @classmethod
    def from_bundle(
        cls,
        bundle: str | Path,
        device: str = "auto",
        precision: InferenceChoice = "auto",
        tile: int | None = None,
        overlap: int | None = None,
    ) -> "Restorer":
        """Load a bundle.

        Args:
            bundle: A shipped name (`photo`, `photo-fast`, `denoise`, `deblur`, `inpaint`) or a bundle's folder.
            device: As for the class.
            precision: As for the class.
            tile: As for the class.
            overlap: As for the class.

        Raises:
            BundleError: The bundle is missing or damaged.
        """
        loaded = load_bundle(bundle)
        return cls(loaded.network, loaded.card.composites, device, precision, tile, overlap, loaded.card)

    @overload
    def restore(self, image: Tensor, mask: MaskLike | None = None, strength: float = 1.0) -> Tensor: ...
    @overload
    def restore(
        self,
        image: npt.NDArray[P],
        mask: MaskLike | None = None,
        strength: float = 1.0,
        out: npt.NDArray[P] | None = None,
    ) -> npt.NDArray[P]: ...
    @overload
    def restore(self, image: Image.Image, mask: MaskLike | None = None, strength: float = 1.0) -> Image.Image: ...

    def restore(
        self,
        image: Tensor | npt.NDArray[P] | Image.Image,
        mask: MaskLike | None = None,
        strength: float = 1.0,
        out: npt.NDArray[P] | None = None,
    ) -> Tensor | npt.NDArray[P] | Image.Image:
        """Restore one picture of any size; each kind of picture comes back as its own kind.

        Args:
            image: A tensor `(C, H, W)`, C = 1 or 3, float32 nominally in [0, 1] or uint8; an array `(H, W)` or
                `(H, W, 3)`, uint8 or uint16; or a PIL image of mode L or RGB. Floats outside [0, 1], such as noise
                that was not clipped, are taken as they are.
            mask: What is missing, where True, 1 or 255; nothing if left out.
            strength: How much of the change is made, from 0 (none) to 1 (all).
            out: For arrays: where the result goes. It may be the image itself, which spares a scan's second copy, but
                must not overlap it otherwise.

        Returns:
            The restored picture. Floats are not clamped; integers are clamped and rounded.

        Raises:
            UsageError: Shapes, types or strength do not fit.
            UnsupportedImageError: A PIL image of another mode, or colour for a network that knows grey alone.
            ImageError: The network gives values that are not finite, in float32 too.
            MemoryError: Not even a tile of 256 pixels fits into the computer's memory; a device that runs out of its
                own gets smaller tiles first and is left for the CPU then.
        """
        if out is not None and not isinstance(image, np.ndarray):
            raise UsageError("out: is for arrays")
        if isinstance(image, Image.Image):
            if image.mode not in {"L", "RGB"}:
                raise UnsupportedImageError(f"image: has mode {image.mode}; convert it to L or RGB first")
            return Image.fromarray(self.restore(np.asarray(image), mask, strength))
        if not 0.0 <= strength <= 1.0:
            raise UsageError(f"strength: must be from 0 to 1, not {strength:g}")
        if isinstance(image, np.ndarray):
            # Tile by tile, so that a large scan is held once coming in and at most once going out.
            result = np.empty_like(image, order="C") if out is None else out
            self._restore(ArrayPicture(image, result), mask, strength)
            return result
        restored = torch.empty_like(image, memory_format=torch.contiguous_format)
        self._restore(TensorPicture(image, restored), mask, strength)
        return restored

    def restore_together(self, images: Sequence[npt.NDArray[P]], strength: float = 1.0) -> list[npt.NDArray[P]]:
        """Restore small pictures of one size in one pass, which is quicker; a GPU may round otherwise than one by one.

        Args:
            images: Arrays as for `restore`, all of one shape and type, together no larger than a tile; see `fits`.
            strength: As for `restore`.

        Raises:
            UsageError: They differ, or are too large.
            ImageError: As for `restore`.
        """
        if len(images) == 1 or self.network.finds_blur:  # Fourier transforms of a batch differ in their last bits
            return self._restore_one_by_one(images, strength)
        if not images or not self.fits(images[0].shape, len(images)) or len({(i.shape, i.dtype) for i in images}) > 1:
            raise UsageError("images: must be of one shape and type, and together no larger than a tile")
        levels = LEVELS[images[0].dtype]
        batch = torch.stack([to_float(image) for image in images]).to(self.device)
        self.notes.clear()
        restored: Tensor | None = None
        with SuppressOutOfMemory():
            restored = self._restore_batch(batch, None, strength, None)
        if restored is None:
            return self._restore_one_by_one(images, strength)
        kept = to_integers(restored, levels)
        self.changes = (to_float(kept, levels) - batch).square().mean(dim=(1, 2, 3)).sqrt().tolist()
        pixels = kept.permute(0, 2, 3, 1).cpu().numpy().astype(images[0].dtype)
        return [result.reshape(images[0].shape) for result in pixels]

    def _restore_one_by_one(self, images: Sequence[npt.NDArray[P]], strength: float) -> list[npt.NDArray[P]]:
        results, changes, notes = [], [], []
        for image in images:
            results.append(self.restore(image, None, strength))
            changes += self.changes
            notes += self.notes
        self.changes, self.notes = changes, list(dict.fromkeys(notes))
        return results

    def fits(self, shape: Sequence[int], count: int) -> bool:
        """Whether so many pictures of a shape `(H, W, ...)` are together no larger than a tile."""
        return count * shape[0] * shape[1] <= self.tile**2 and max(shape[:2]) <= self.tile

    def _restore(self, picture: Picture, mask: MaskLike | None, strength: float) -> None:
        missing = None if mask is None else as_mask(mask, picture.size)
        self.notes.clear()
        squares = self._restore_tiles(picture, missing, strength, None)
        self.changes = [math.sqrt(squares / math.prod(picture.size))]

    def _restore_tiles(self, picture: Picture, missing: Tensor | None, strength: float, whole: Whole | None) -> float:
        """The sum over the pixels of the squared change, a mean over channels."""
        tiles = plan_tiles(*picture.size, self.tile, self.overlap, self.network.size_multiple)
        while whole is None and (len(tiles) > 1 or self._is_large(picture)):
            with SuppressOutOfMemory():
                whole = self._survey(picture)
            if whole is None:
                self._make_room()
        squares = 0.0
        waiting: deque[tuple[Box, Tensor]] = deque()
        for tile in tiles:
            piece = picture.read(*tile.read.slices, self.device)
            hole = None if missing is None else missing[(slice(None), *tile.read.slices)].to(self.device)
            if self.composites and hole is not None and not hole.any():
                answer = piece  # nothing to fill in
            else:
                answer = self._restore_tile(piece, hole, strength, whole)
            inner = (slice(None), *tile.write.within(tile.read).slices)
            kept = picture.quantised(answer[inner])
            squares += float((picture.unquantised(kept) - piece[inner]).square_().sum()) / len(kept)
            waiting.append((tile.write, _in_memory(kept)))
            # Tiles come row by row: what lies above this one is not read again, and may be overwritten.
            while waiting and (not picture.in_place or waiting[0][0].bottom <= tile.read.top):
                picture.write(*waiting[0][0].slices, waiting.popleft()[1])
        for place, kept in waiting:
            picture.write(*place.slices, kept)
        return squares

    def _restore_tile(self, piece: Tensor, hole: Tensor | None, strength: float, whole: Whole | None) -> Tensor:
        """One tile, or in smaller ones where that takes more memory than there is."""
        if max(piece.shape[-2:]) <= self.tile:
            with SuppressOutOfMemory():
                batched = None if hole is None else hole.unsqueeze(0)
                return self._restore_batch(piece.unsqueeze(0), batched, strength, whole)[0]
            self._make_room()  # here, where no traceback keeps the tile's tensors alive
        result = torch.empty_like(piece)
        self._restore_tiles(TensorPicture(piece, result), hole, strength, whole)
        return result

    @torch.inference_mode()
    def _survey(self, picture: Picture) -> Whole:
        """Look at a picture of many tiles before the first one, so that no tile differs from its neighbours."""
        if not (self.guarded or self.network.finds_blur):
            return Whole()
        places = window_places(*picture.size)
        parts = torch.stack([picture.read(*place, self.device) for place in places])
        blur = find_blur(picture, parts, self._is_large(picture)) if self.network.finds_blur else None
        if not self.guarded:
            return Whole(blur=blur)
        flat = flattest_windows(parts).contiguous(memory_format=torch.channels_last)
        restored = self._finite_forward(flat, flat.new_zeros(len(flat), 1, *flat.shape[-2:]), blur)
        return Whole(noise_level_of_windows(flat, restored, len(places)), blur)

    def _is_large(self, picture: Picture) -> bool:
        """Whether a blur is looked for in windows of it: it exceeds the tile that is cut unless asked otherwise."""
        return self.network.finds_blur and max(picture.size) > self.network.tile

    def _make_room(self) -> None:
        """After the device ran out of memory: halve the tile; once it is too small to halve, go on on the CPU.

        It stays so for the pictures that follow, since the next one would run out as well.
        """
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        if self.tile // 2 >= max(_SMALLEST_TILE, 3 * self.overlap):
            self.tile //= 2
            self._note(f"{self.device} is out of memory: going on with tiles of {self.tile} pixels")
        elif self.device.type != "cpu":
            self.network.to("cpu")
            self._note(f"{self.device} is out of memory with tiles of {self.tile} pixels: going on on the CPU")
            self.device = torch.device("cpu")
            self.precision = choose_precision("auto", self.device)
        else:
            raise MemoryError(f"a tile of {self.tile} x {self.tile} pixels does not fit into memory")

    @torch.inference_mode()
    def _restore_batch(self, batch: Tensor, holes: Tensor | None, strength: float, whole: Whole | None) -> Tensor:
        batch = batch.contiguous(memory_format=torch.channels_last)
        mask = batch.new_zeros(len(batch), 1, *batch.shape[-2:]) if holes is None else holes.float()
        level, blur = whole or Whole()
        restored = self._finite_forward(batch, mask, blur)
        if self.guarded:
            level = noise_level(batch, restored) if level is None else level.to(batch.device)
            restored = limit_change(batch, restored, level)
        if strength < 1.0:
            restored = torch.lerp(batch, restored, strength)
        return composite(batch, restored, mask) if self.composites else restored

    def _finite_forward(self, batch: Tensor, mask: Tensor, blur: Blur | None) -> Tensor:
        restored = self._forward(batch, mask, blur, self.precision)
        # Half precision overflows where float32 does not; nobody gets a black tile for that.
        if not is_finite(restored):
            if not is_finite(batch):
                raise ImageError("the picture holds values that are not finite")
            if self.precision != "32":
                self._note(f"values that are not finite in {self.precision}: a tile was computed again in float32")
                restored = self._forward(batch, mask, blur, "32")
            if not is_finite(restored):
                raise ImageError("the network gives values that are not finite, in float32 too; the bundle is damaged")
        return restored

    def _forward(self, batch: Tensor, mask: Tensor, blur: Blur | None, precision: InferencePrecision) -> Tensor:
        known = () if blur is None else (Blur(*(part.to(batch.device) for part in blur)),)
        with computing_in(precision, self.device):
            restored: Tensor = self.network(batch, mask, *known)
            if self.turned:
                restored = (restored + self.network(batch.flip(2, 3), mask.flip(2, 3), *known).flip(2, 3)) / 2.0
        return restored

    def _note(self, text: str) -> None:
        _log.warning(text)
        self.notes.append(text)


def _in_memory(kept: Tensor) -> Tensor:
    """On the CPU, and small: a row of tiles may wait there."""
    return kept.cpu().to(torch.uint16) if kept.dtype == torch.int32 else kept.cpu()
