"""EXIF, ICC, XMP, IPTC, resolution and text: what a file says beside its pixels, kept as bytes."""

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, BinaryIO

from restore.images.containers import jp2_boxes, jpeg_segments, png_chunks
from restore.images.exif import orientation_of, upright
from restore.images.tiff_layout import TiffLayout
from restore.images.xmp import upright_xmp, without_orientation

__all__ = [
    "EXIF_HEAD",
    "EXIF_UUID",
    "ICC_HEAD",
    "PHOTOSHOP_HEAD",
    "STALE_CREDENTIALS",
    "STALE_THUMBNAIL",
    "XMP_HEAD",
    "XMP_KEYWORD",
    "XMP_UUID",
    "JpegCoding",
    "Metadata",
    "iptc_of",
    "jp2_metadata",
    "jpeg_metadata",
    "pillow_metadata",
    "png_metadata",
    "without_thumbnails",
]

EXIF_HEAD = b"Exif\0\0"
XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\0"
ICC_HEAD = b"ICC_PROFILE\0"
PHOTOSHOP_HEAD = b"Photoshop 3.0\0"
XMP_KEYWORD = b"XML:com.adobe.xmp"
EXIF_UUID = b"JpgTiffExif->JP2"
XMP_UUID = bytes.fromhex("BE7ACFCB97A942E89C71999491E3AFAC")
_CREDENTIALS_UUID = bytes.fromhex("D8FEC3D61B0E483C92975828877EC481")
STALE_CREDENTIALS = "content credentials (C2PA) hold for the picture as it was only and are left out"
STALE_THUMBNAIL = "Photoshop's thumbnail shows the picture as it was and is left out"
_RAW_PROFILE_EXIF = b"Raw profile type exif"

# Of the JPEG segments: what the encoder writes itself, a second thumbnail, and the index of a phone's further pictures.
_DROPPED_SEGMENTS = {0xDB, 0xC4, 0xDD, 0xCC, 0xEE, *(0xC0 | kind for kind in range(16) if kind not in {4, 8, 12})}
_DROPPED_CHUNKS = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"hIST", b"acTL", b"fcTL", b"fdAT", b"iDOT"}
# Those that hold for the restored picture as well, though a program that does not know them should not copy them.
_LASTING_CHUNKS = {b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"bKGD", b"cICP", b"mDCV", b"cLLI", b"sPLT", b"tIME"}
_LASTING_CHUNKS |= {b"pCAL", b"sCAL", b"sTER"}
_CODING_BOXES = {b"jP  ", b"ftyp", b"rreq", b"jp2h", b"jp2c", b"free"}
# XML, further metadata, rights, and labels of these.
_LASTING_BOXES = {"uuid", "xml ", "uinf", "jp2i", "asoc", "lbl "}
_PHOTOSHOP_THUMBNAILS = {0x0409, 0x040C}
_IPTC_RESOURCE = 0x0404


@dataclass(frozen=True)
class JpegCoding:
    """How a JPEG was compressed.

    Attributes:
        tables: The quantisation table of each component, 64 values each.
        subsampling: In Pillow's numbers: 0 is 4:4:4, 1 is 4:2:2, 2 is 4:2:0.
        progressive: Whether it comes in several scans.
        is_rgb: Whether the components are red, green and blue rather than luminance and chrominance.
    """

    tables: tuple[tuple[int, ...], ...]
    subsampling: int
    progressive: bool
    is_rgb: bool


@dataclass(frozen=True)
class Metadata:
    """What goes along with the pixels.

    Attributes:
        orientation: As stored, 1 to 8. Pages come upright, and all that is below says so already.
        exif: From the byte-order mark on.
        icc: The colour profile.
        xmp: The packet.
        photoshop: Photoshop's image resources, which hold the IPTC record in a JPEG.
        iptc: The IPTC record on its own, as TIFF holds it.
        dpi: Pixels per inch, across and down the upright picture.
        blocks: Name and payload of what goes back into a file of the same format, in order.
        jpeg: How a JPEG was compressed.
        lossless: Whether a format that can be either was lossless.
        chroma: Chroma subsampling of an AVIF, as `4:2:0`.
        pages: How each page of a TIFF is laid out, with its tags.
        stamp: Size and time of the file's last change.
        max_pixels: The limit that the file was opened under.
        colours: What the profile is about: `GRAY`, `RGB` or `CMYK`.
        colour_type: Of a PNG, as its header has it.
        bare: Whether a JPEG 2000 is a codestream without the boxes of a file around it.
    """

    orientation: int = 1
    exif: bytes | None = None
    icc: bytes | None = None
    xmp: bytes | None = None
    photoshop: bytes | None = None
    iptc: bytes | None = None
    dpi: tuple[float, float] | None = None
    blocks: tuple[tuple[str, bytes], ...] = ()
    jpeg: JpegCoding | None = None
    lossless: bool = False
    chroma: str | None = None
    pages: tuple[TiffLayout, ...] = ()
    stamp: tuple[int, int] = (0, 0)
    max_pixels: int = 0
    colours: str = "RGB"
    colour_type: int | None = None
    bare: bool = False


def iptc_of(photoshop: bytes) -> bytes | None:
    """The IPTC record among Photoshop's resources."""
    return next((data for number, data, _ in _resources(photoshop) if number == _IPTC_RESOURCE), None)


def jpeg_metadata(file: BinaryIO, height: int, width: int) -> tuple[dict[str, Any], list[str]]:
    """What stands before the first scan of a JPEG.

    Args:
        file: The JPEG.
        height: As stored.
        width: As stored.

    Returns:
        Fields of `Metadata`, and notes on what is left out.
    """
    segments = [item for item in jpeg_segments(file) if item[0] not in _DROPPED_SEGMENTS]
    exif = next((data[6:] for marker, data in segments if marker == 0xE1 and data.startswith(EXIF_HEAD)), None)
    orientation = orientation_of(exif)
    if orientation > 4:
        height, width = width, height
    exif = exif and upright(exif, height, width)
    fields: dict[str, Any] = {"orientation": orientation, "exif": exif}
    profile: dict[int, bytes] = {}
    blocks, has_exif, several, notes = [], False, False, list[str]()
    for marker, original in segments:
        data = original
        if marker == 0xE0 and data.startswith(b"JFXX\0"):
            continue  # a thumbnail
        if marker == 0xE0 and data.startswith(b"JFIF\0"):
            data = _jfif(data, turned=orientation > 4)
        elif marker == 0xE1 and data.startswith(EXIF_HEAD) and not has_exif:
            data, has_exif = EXIF_HEAD + (exif or b""), True
        elif marker == 0xE1 and data.startswith(XMP_HEAD):
            data = XMP_HEAD + upright_xmp(data[len(XMP_HEAD) :], orientation, height, width)
            fields["xmp"] = data[len(XMP_HEAD) :]
        elif marker == 0xE2 and data.startswith(b"MPF\0"):
            several = True
            continue
        elif marker == 0xE2 and data.startswith(ICC_HEAD) and len(data) > 14:
            profile[data[12]] = data[14:]
        elif marker == 0xEB and data.startswith(b"JP") and data[12:16] == b"jumb":
            notes.append(STALE_CREDENTIALS)
            continue
        elif marker == 0xED and data.startswith(PHOTOSHOP_HEAD):
            resources = without_thumbnails(data[len(PHOTOSHOP_HEAD) :])
            if len(resources) < len(data) - len(PHOTOSHOP_HEAD):
                notes.append(STALE_THUMBNAIL)
            data = PHOTOSHOP_HEAD + resources
            fields["photoshop"] = fields.get("photoshop", b"") + resources
        blocks.append((f"{marker:02X}", data))
    fields["icc"] = b"".join(profile[number] for number in sorted(profile)) or None
    fields["blocks"] = tuple(blocks)
    if several:
        notes.append("only the photo of this multi-picture file is restored; its other pictures are left out")
    return fields, list(dict.fromkeys(notes))


def png_metadata(file: BinaryIO, height: int, width: int) -> tuple[dict[str, Any], list[str]]:
    """What stands in the chunks of a PNG before and after its pixels.

    Args:
        file: The PNG.
        height: As stored.
        width: As stored.

    Returns:
        Fields of `Metadata`, and notes on what is left out; the transparent colour of a `tRNS` chunk comes along as
        the block `tRNS`, which is not for writing.
    """
    chunks = list(png_chunks(file))
    fields: dict[str, Any] = {}
    exif = next((data for name, data in chunks if name == b"eXIf"), None)
    if exif is None:
        texts = [(name, data) for name, data in chunks if name in {b"tEXt", b"zTXt"}]
        exif = next((found for name, data in texts if (found := _raw_profile(name, data))), None)
    fields["orientation"] = orientation = orientation_of(exif)
    if orientation > 4:
        height, width = width, height
    blocks, has_exif, unsafe = [], False, list[str]()
    fields["exif"] = patched = exif and upright(exif, height, width)
    for name, original in chunks:
        data, kind = original, name
        if name == b"tRNS":
            blocks.append(("tRNS", data))
        if name in _DROPPED_CHUNKS:
            continue
        if not name[3] & 0x20 and name not in _LASTING_CHUNKS:  # about the pixels as they are, says its fourth letter
            unsafe.append(name.decode("latin-1"))
            continue
        if name == b"eXIf" or (name in {b"tEXt", b"zTXt"} and data.startswith(_RAW_PROFILE_EXIF + b"\0")):
            if has_exif or patched is None:
                continue
            has_exif = True
            if patched != exif or name == b"eXIf":
                kind, data = b"eXIf", patched
        elif name == b"iCCP":
            fields["icc"] = _inflated(data.partition(b"\0")[2][1:])
        elif name == b"pHYs" and len(data) == 9:
            across, down, unit = struct.unpack(">IIB", data)
            if orientation > 4:
                across, down = down, across
                data = struct.pack(">IIB", across, down, unit)
            if unit == 1:
                fields["dpi"] = (across * 0.0254, down * 0.0254)
        elif name == b"iTXt" and data.startswith(XMP_KEYWORD + b"\0\0"):  # not compressed
            data = upright_xmp(data, orientation, height, width)
            fields["xmp"] = data[len(XMP_KEYWORD) + 3 :].split(b"\0", 2)[-1]
        elif name == b"iTXt" and data.startswith(XMP_KEYWORD + b"\0\1"):
            packet = _inflated(data[len(XMP_KEYWORD) + 3 :].split(b"\0", 2)[-1])
            if packet is not None:
                fields["xmp"] = upright_xmp(packet, orientation, height, width)
                if fields["xmp"] != packet:
                    data = XMP_KEYWORD + b"\0\0\0\0\0" + fields["xmp"]
        blocks.append((kind.decode("latin-1"), data))
    fields["blocks"] = tuple(blocks)
    notes = [STALE_CREDENTIALS] if "caBX" in unsafe else []
    if others := [name for name in dict.fromkeys(unsafe) if name != "caBX"]:
        notes.append(f"PNG chunks that hold for the picture as it was only are left out: {', '.join(others)}")
    return fields, notes


def jp2_metadata(data: bytes) -> tuple[dict[str, Any], list[str]]:
    """The boxes of a JP2 that are about neither its pixels nor their coding, and its colour profile; and notes."""
    boxes = [(name.decode("latin-1"), box) for name, box in jp2_boxes(data) if name not in _CODING_BOXES]
    kept = [(name, box) for name, box in boxes if name in _LASTING_BOXES and box[8:24] != _CREDENTIALS_UUID]
    fields: dict[str, Any] = {"blocks": tuple(kept), "bare": data.startswith(b"\xff\x4f\xff\x51")}
    header = next((box for name, box in jp2_boxes(data) if name == b"jp2h"), b"")
    place = header.find(b"colr")
    if place >= 4 and header[place + 4 : place + 5] == b"\2":  # a profile, not a number of a colour space
        size = int.from_bytes(header[place - 4 : place], "big")
        fields["icc"] = header[place + 7 : place - 4 + size] or None
    uuids = {box[8:24]: box[24:] for name, box in kept if name == "uuid"}
    fields["exif"], fields["xmp"] = uuids.get(EXIF_UUID), uuids.get(XMP_UUID)
    lost = {name for name, box in boxes if name not in _LASTING_BOXES}
    credentials = "jumb" in lost or any(box[8:24] == _CREDENTIALS_UUID for _, box in boxes)
    notes = [STALE_CREDENTIALS] if credentials else []
    if others := sorted(lost - {"jumb"}):
        notes.append(f"JPEG 2000 boxes that hold for the picture as it was only are left out: {', '.join(others)}")
    return fields, notes


def pillow_metadata(info: dict[Any, Any], height: int, width: int, decoder_turns: bool = False) -> dict[str, Any]:
    """What Pillow has found in a file whose container is left to Pillow.

    Args:
        info: `Image.info`.
        height: As stored.
        width: As stored.
        decoder_turns: Whether it comes upright already, by a rule of its own format.

    Returns:
        Fields of `Metadata`.
    """
    exif = info.get("exif")
    exif = exif.removeprefix(EXIF_HEAD) if isinstance(exif, bytes) and exif else None
    orientation = orientation_of(exif)
    if orientation > 4:
        height, width = width, height
    xmp, icc = info.get("xmp"), info.get("icc_profile")
    xmp = xmp if isinstance(xmp, bytes) and xmp else None
    if xmp is not None:
        xmp = without_orientation(xmp) if decoder_turns else upright_xmp(xmp, orientation, height, width)
    return {
        "orientation": orientation,
        "exif": exif and upright(exif, height, width),
        "xmp": xmp,
        "icc": icc if isinstance(icc, bytes) and icc else None,
    }


def _jfif(data: bytes, turned: bool) -> bytes:
    """The JFIF segment without its thumbnail, and with its two densities exchanged for a quarter turn."""
    if len(data) < 14:
        return data
    head, across, down = data[:8], data[8:10], data[10:12]
    return head + (down + across if turned else across + down) + b"\0\0"


def _raw_profile(name: bytes, data: bytes) -> bytes | None:
    """EXIF as ImageMagick writes it into the text of a PNG: a name, a length, and hexadecimal digits."""
    keyword, _, text = data.partition(b"\0")
    if keyword != _RAW_PROFILE_EXIF:
        return None
    try:
        lines = ((_inflated(text[1:]) or b"") if name == b"zTXt" else text).split(b"\n", 3)
        return bytes.fromhex(lines[3].decode("ascii")).removeprefix(EXIF_HEAD)
    except (ValueError, IndexError):
        return None


def _inflated(data: bytes) -> bytes | None:
    inflater = zlib.decompressobj()
    try:
        inflated = inflater.decompress(data, 64_000_000)
    except zlib.error:
        return None
    return inflated if inflater.eof else None


def _resources(photoshop: bytes) -> Iterable[tuple[int, bytes, bytes]]:
    """Number, value and whole bytes of each Photoshop resource; what is not understood comes as number -1."""
    place = 0
    while place < len(photoshop):
        start = place
        if photoshop[place : place + 4] != b"8BIM" or place + 12 > len(photoshop):
            yield -1, b"", photoshop[start:]
            return
        number = int.from_bytes(photoshop[place + 4 : place + 6], "big")
        name = photoshop[place + 6] + 1
        place += 6 + name + name % 2
        size = int.from_bytes(photoshop[place : place + 4], "big")
        value = photoshop[place + 4 : place + 4 + size]
        place += 4 + size + size % 2
        if len(value) < size:
            yield -1, b"", photoshop[start:]
            return
        yield number, value, photoshop[start:place]


def without_thumbnails(photoshop: bytes) -> bytes:
    """Photoshop's resources without those that show the picture as it was."""
    return b"".join(whole for number, _, whole in _resources(photoshop) if number not in _PHOTOSHOP_THUMBNAILS)
