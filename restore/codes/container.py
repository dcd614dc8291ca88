"""The file of a compressed photo: a header, the code, and a checksum over both.

Little-endian, in this order:

    8 bytes   89 52 41 43 0D 0A 1A 0A    what it is; line ends show a transfer that changed them
    1         version, 1
    1         channels of the picture, 1 or 3
    16        fingerprint of the bundle
    4, 4      height and width of the picture in pixels
    8         step of the quantisation, float64
    4         bytes of the packed code, N
    N         the packed code
    16        BLAKE2b of everything before
"""

import hashlib
import json
import math
import struct
from dataclasses import dataclass

from restore.errors import UnreadableImageError
from restore.models.bundle import ModelCard

__all__ = ["SUFFIX", "CompressedPhoto", "bundle_fingerprint"]

SUFFIX = ".rac"
"""Of file names: restore's autoencoder codes."""

_MAGIC = b"\x89RAC\r\n\x1a\n"
_VERSION = 1
_HEADER = struct.Struct("<8sBB16sIIdI")
_DIGEST = 16


@dataclass(frozen=True)
class CompressedPhoto:
    """What a file holds.

    Attributes:
        fingerprint: 16 bytes: `bundle_fingerprint` of the bundle whose decoder it needs.
        channels: Of the picture, 1 or 3.
        height: Of the picture, in pixels.
        width: Of the picture, in pixels.
        step: What one step of a whole number stands for in the code.
        packed: The whole numbers, packed.
    """

    fingerprint: bytes
    channels: int
    height: int
    width: int
    step: float
    packed: bytes

    def to_bytes(self) -> bytes:
        """The whole file."""
        size = (self.height, self.width, self.step, len(self.packed))
        content = _HEADER.pack(_MAGIC, _VERSION, self.channels, self.fingerprint, *size) + self.packed
        return content + _digest(content)

    @classmethod
    def from_bytes(cls, data: bytes) -> "CompressedPhoto":
        """Read a file, and believe nothing of it before its checksum agrees.

        Raises:
            UnreadableImageError: It is no such file, of another version, cut, lengthened or changed.
        """
        if data[: len(_MAGIC)] != _MAGIC[: len(data)] or not data:
            raise UnreadableImageError("not a photo that `restore compress` wrote; leave it out")
        if len(data) > len(_MAGIC) and data[len(_MAGIC)] != _VERSION:
            raise UnreadableImageError(
                f"has format {data[len(_MAGIC)]}, and this version of restore reads format {_VERSION}"
            )
        whole = _HEADER.size + _DIGEST
        if len(data) >= _HEADER.size:
            _, _, channels, fingerprint, height, width, step, length = _HEADER.unpack_from(data)
            whole += length
        if len(data) != whole:
            raise UnreadableImageError(f"is {len(data)} bytes long and should have {whole} or more; copy it again")
        if _digest(data[:-_DIGEST]) != data[-_DIGEST:]:
            raise UnreadableImageError("is damaged: its checksum does not agree; copy it again")
        if channels not in {1, 3} or not (math.isfinite(step) and step > 0.0):
            raise UnreadableImageError("its header says what cannot be; leave it out")
        return cls(fingerprint, channels, height, width, step, data[_HEADER.size : -_DIGEST])


def bundle_fingerprint(card: ModelCard) -> bytes:
    """16 bytes that differ between bundles whose decoders differ: a hash of network, configuration and weights."""
    text = json.dumps([card.network, card.weights_sha256], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST).digest()
