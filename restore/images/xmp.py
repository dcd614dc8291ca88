"""XMP packets of pictures that are turned upright: the orientation, and where faces are."""

import re

__all__ = ["places_upright", "upright_xmp", "without_orientation"]

_ORIENTATION = re.compile(rb"(tiff:Orientation\s*(?:=\s*[\"']|>)\s*)[2-8](?=\s*[\"'<])")
_NUMBER = rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_AREA = re.compile(rb"stArea:([xywh])(\s*=\s*[\"']\s*|>\s*)(" + _NUMBER + rb")(\s*[\"']|\s*</stArea:)(?:(?<=:)[xywh])?")
_AREA_NAME = re.compile(rb"(?<!/)stArea:[xywh]\s*[=>]")
_DIMENSIONS = re.compile(rb"<mwg-rs:AppliedToDimensions\b.{,2000}?(?:/>|</mwg-rs:AppliedToDimensions>)", re.DOTALL)
_SIDE = re.compile(rb"stDim:([wh])\b")
_LENGTH = re.compile(rb"stDim:([wh])\s*(?:=\s*[\"']|>)\s*(" + _NUMBER + rb")")
_EXCHANGED = {b"x": b"y", b"y": b"x", b"w": b"h", b"h": b"w"}


def places_upright(
    x: float, y: float, orientation: int, width: float = 1.0, height: float = 1.0
) -> tuple[float, float]:
    """Where a place of a stored picture lies once that is upright.

    Args:
        x: From the left, from 0 to `width`.
        y: From the top, from 0 to `height`.
        orientation: 1 to 8, as EXIF has it.
        width: Of the stored picture.
        height: Of the stored picture.
    """
    across = width - x if orientation in {2, 3, 7, 8} else x
    down = height - y if orientation in {3, 4, 6, 7} else y
    return (down, across) if orientation > 4 else (across, down)


def upright_xmp(xmp: bytes, orientation: int, height: int, width: int) -> bytes:
    """An XMP packet that calls its picture upright where that was turned, with its regions (MWG) where they belong.

    Regions, mostly faces, are relative to the picture as stored (Metadata Working Group 2010); those that name the
    size of the upright picture, or have places that are no numbers, stay as they are. Nothing else is changed.

    Args:
        xmp: The packet.
        orientation: How the picture was stored, 1 to 8; the packet is not changed for 1.
        height: Of the upright picture.
        width: Of the upright picture.
    """
    if orientation == 1:
        return xmp
    packet = without_orientation(xmp)
    if len(_AREA.findall(packet)) != len(_AREA_NAME.findall(packet)):
        return packet
    sizes = {name: float(value) for part in _DIMENSIONS.findall(packet) for name, value in _LENGTH.findall(part)}
    if orientation > 4:
        is_wide = sizes.get(b"w", 0.0) > sizes.get(b"h", 0.0)
        if sizes and height != width and is_wide == (width > height):
            return packet
        packet = _DIMENSIONS.sub(lambda part: _SIDE.sub(lambda side: b"stDim:" + _EXCHANGED[side[1]], part[0]), packet)
    return _AREA.sub(lambda found: _area(found, orientation), packet)


def without_orientation(xmp: bytes) -> bytes:
    """An XMP packet that calls its picture upright."""
    return _ORIENTATION.sub(rb"\g<1>1", xmp)


def _area(found: re.Match[bytes], orientation: int) -> bytes:
    """One number of a region; those of one region stand on their own, in any order."""
    name, value = found[1], found[3]
    if name in b"xy":
        number = float(value)
        place = places_upright(number, number, orientation)
        moved = place[0] if (name == b"x") == (orientation <= 4) else place[1]
        value = value if moved == number else f"{moved:.6f}".rstrip("0").rstrip(".").encode()
    name = _EXCHANGED[name] if orientation > 4 else name
    closing = name if found[4].endswith(b":") else b""
    return b"stArea:" + name + found[2] + value + found[4] + closing
