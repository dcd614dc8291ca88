"""The photos that every command falls back on: those that scikit-image carries in its own wheel."""

from pathlib import Path

from restore.errors import DataError
from restore.images.search import FoundImage

__all__ = ["sample_photos"]

_NAMES = ("astronaut.png", "camera.png", "chelsea.png", "coffee.png", "page.png", "rocket.jpg")


def sample_photos() -> list[FoundImage]:
    """Six real pictures, 191 x 384 to 512 x 512 pixels, four in colour and two grey.

    Raises:
        DataError: scikit-image is installed without them.
    """
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    missing = [name for name in _NAMES if not (folder / name).exists()]
    if missing:
        raise DataError(f"scikit-image came without {', '.join(missing)}; reinstall it, or name a folder of photos")
    return [FoundImage(Path(name), folder / name) for name in _NAMES]
