"""How the pages of a TIFF are laid out: their tags, and which of them still hold for restored pixels."""

from dataclasses import dataclass, replace

from tifffile import PHOTOMETRIC

from restore.images.exif import EXCHANGED, Directory, Entry, upright_data

__all__ = ["CODING_TAGS", "COLOURS", "EXIF_TAGS", "POINTER_TAGS", "TiffLayout", "foreign_tags", "kept_entries"]

CODING_TAGS = {
    *(254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 274, 277, 278, 279, 284, 288, 289, 292, 293, 317),
    *(320, 322, 323, 324, 325, 330, 332, 334, 338, 339, 347, 512, 513, 514, 515, 517, 518, 519, 520, 521, 529, 530),
    *(531, 532, 559, 32997, 32998, 34665, 34853),
}
"""About the coding of the pixels, which is written anew."""
# About where on the earth or on the sheet a pixel lies: wrong once the picture has been turned.
_PLACE_TAGS = {33550, 33922, 34264, 34735, 34736, 34737, 286, 287}
_TONE_TAGS = {290, 291, 301, 280, 281, 340, 341, 336}  # about the values of a channel as stored
_STALE_TAGS = {
    37724: "Photoshop's layers show the picture as it was and are left out",
    52545: "content credentials (C2PA) hold for the picture as it was only and are left out",
}
# XMP, IPTC, Photoshop's resources and the profile, for which the other formats have places of their own.
_HELD_TAGS = {700, 33723, 34377, 34675}

POINTER_TAGS = {34665, 34853}
"""The EXIF and GPS directories."""
EXIF_TAGS = (
    *(269, 270, 271, 272, 282, 283, 285, 296, 305, 306, 315, 316, 318, 319, 18246, 18249, 33432),
    *range(0x9C9B, 0x9CA0),
    *POINTER_TAGS,
)
"""The tags of a TIFF that readers of EXIF know as well."""
COLOURS: dict[int, int] = {
    PHOTOMETRIC.MINISWHITE: 1,
    PHOTOMETRIC.MINISBLACK: 1,
    PHOTOMETRIC.RGB: 3,
    PHOTOMETRIC.PALETTE: 1,
    PHOTOMETRIC.SEPARATED: 4,
    PHOTOMETRIC.YCBCR: 3,
}
"""Samples of a pixel that are colours, in the kinds of pictures that can be read."""
_CCITT, _JPEG = {2, 3, 4, 32771}, {6, 7}


@dataclass(frozen=True)
class TiffLayout:
    """One page of a TIFF: how it is coded, and what it says.

    Attributes:
        offset: Where its directory begins.
        directory: Its tags.
        height: As stored.
        width: As stored.
        bits: Bits a sample.
        samples: Samples a pixel.
        sample_format: 1 unsigned, 2 signed, 3 floating point.
        photometric: The TIFF number of its kind of colours.
        compression: The TIFF number of its compression.
        predictor: 1 none, 2 horizontal, 3 floating point.
        planar: Whether each channel is stored on its own.
        tile: Height and width of its tiles; None for strips.
        rows_per_strip: Rows of a strip.
        extra: What the samples beyond the colours are: 0 unknown, 1 premultiplied alpha, 2 straight alpha.
        orientation: 1 to 8.
    """

    offset: int
    directory: Directory
    height: int
    width: int
    bits: int
    samples: int
    sample_format: int
    photometric: int
    compression: int
    predictor: int
    planar: bool
    tile: tuple[int, int] | None
    rows_per_strip: int
    extra: tuple[int, ...]
    orientation: int

    @property
    def alpha_index(self) -> int | None:
        """Which of the extra samples is the transparency."""
        return next((index for index, kind in enumerate(self.extra) if kind in {1, 2}), None)

    @property
    def upright_size(self) -> tuple[int, int]:
        """Height and width once it has been turned upright."""
        return (self.width, self.height) if self.orientation > 4 else (self.height, self.width)

    @property
    def needs_libtiff(self) -> bool:
        """Whether only libtiff decodes it, through Pillow; it gives black as 0, and YCbCr as RGB."""
        return (
            self.compression in _CCITT
            or self.photometric == PHOTOMETRIC.YCBCR
            or (self.compression in _JPEG and self.bits == 8)
        )


def kept_entries(layout: TiffLayout, same_values: bool) -> tuple[tuple[Entry, ...], list[str]]:
    """The tags that hold for the restored page too.

    Args:
        layout: Of the page as it was.
        same_values: Whether it goes out in the same kind of colours, of the same depth.

    Returns:
        The tags, and notes on what is left out.
    """
    kept, lost, notes = [], [], []
    turned = layout.orientation != 1
    for entry in layout.directory.entries:
        if entry.tag in CODING_TAGS and entry.child is None:
            continue
        if entry.tag in _STALE_TAGS:
            notes.append(_STALE_TAGS[entry.tag])
            continue
        if (entry.tag in _PLACE_TAGS and turned) or (entry.tag in _TONE_TAGS and not same_values):
            lost.append(entry.tag)
            continue
        kept.append(replace(entry, child=_upright_child(entry.child, layout)) if entry.child else entry)
    if layout.orientation > 4:
        kept = [replace(entry, tag=EXCHANGED.get(entry.tag, entry.tag)) for entry in kept]
    if layout.directory.find(330) is not None:
        lost.append(330)
    if lost:
        notes.append(f"TIFF tags that no longer hold are left out: {', '.join(map(str, lost))}")
    return tuple(kept), notes


def foreign_tags(layout: TiffLayout) -> list[int]:
    """The tags of a page that only a TIFF can hold, but for those about the coding of its pixels."""
    known = {*EXIF_TAGS, *CODING_TAGS, *_TONE_TAGS, *_HELD_TAGS}
    return [entry.tag for entry in layout.directory.entries if entry.tag not in known]


def _upright_child(directory: Directory, layout: TiffLayout) -> Directory:
    entries = []
    for entry in directory.entries:
        data = upright_data(entry, directory.order, layout.orientation, *layout.upright_size)
        tag = EXCHANGED.get(entry.tag, entry.tag) if layout.orientation > 4 else entry.tag
        entries.append(replace(entry, tag=tag, data=entry.data if data is None else data))
    return replace(directory, entries=tuple(entries))
