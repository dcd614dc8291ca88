"""Which suffix means which format, and which format the first bytes of a file belong to."""

__all__ = ["FORMATS", "MULTIPAGE_FORMATS", "RAW_SUFFIXES", "format_name", "sniff"]

_BY_FORMAT = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
    "AVIF": (".avif",),
    "BMP": (".bmp", ".dib"),
    "PPM": (".pbm", ".pgm", ".ppm", ".pnm"),
    "JPEG2000": (".jp2", ".j2k", ".j2c", ".jpc", ".jpf"),
    "GIF": (".gif",),
    "HEIF": (".heic", ".heif", ".hif"),
}
RAW_SUFFIXES = frozenset({".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".pef", ".raf", ".rw2", ".srw"})
"""Camera raw: read through rawpy, never written."""

FORMATS = {suffix: name for name, suffixes in _BY_FORMAT.items() for suffix in suffixes}
"""Format of each suffix that can be written, in Pillow's words."""

MULTIPAGE_FORMATS = frozenset({"TIFF"})
"""The formats that several pages can be written in."""

_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"BM", "BMP"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG2000"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
    (b"FUJIFILMCCD-RAW", "RAW"),
    (b"IIRO", "RAW"),
    (b"IIRS", "RAW"),
    (b"IIU\x00", "RAW"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
    *((b"P%d" % kind, "PPM") for kind in range(1, 7)),
)
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1"}


def sniff(head: bytes, suffix: str) -> str | None:
    """Name the format of a file by how it begins.

    Args:
        head: The first 64 bytes of the file, or all of it.
        suffix: Of the file's name, in lower case: most camera raw files begin like a TIFF, and only the name tells.

    Returns:
        The format in Pillow's words, `RAW` for camera raw, or None for anything else.
    """
    if head[4:8] == b"ftyp":
        # The major brand, then the compatible ones; the box length says how many.
        end = min(int.from_bytes(head[:4], "big"), len(head))
        brands = {head[8:12], *(head[start : start + 4] for start in range(16, end - 3, 4))}
        if head[8:12] == b"crx ":
            return "RAW"
        if brands & _AVIF_BRANDS:
            return "AVIF"
        return "HEIF" if brands & _HEIF_BRANDS else None
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    found = next((name for signature, name in _SIGNATURES if head.startswith(signature)), None)
    if found == "PPM" and not head[2:3].isspace() and head[2:3] != b"#":
        return None
    return "RAW" if found == "TIFF" and (suffix in RAW_SUFFIXES or head[8:10] == b"CR") else found


def format_name(name: str) -> str:
    """A format as it is written in messages."""
    return {"WEBP": "WebP", "PPM": "PNM", "JPEG2000": "JPEG 2000", "HEIF": "HEIC", "RAW": "camera raw"}.get(name, name)
