"""Using trained networks: tiling, restoring, scoring and demonstrating; never imports Lightning."""

from restore.inference.restorer import Restorer

__all__ = ["Restorer"]
