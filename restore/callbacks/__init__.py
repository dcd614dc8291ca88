"""What draws, logs and writes while Lightning runs."""

from restore.callbacks.bundles import SaveBundle
from restore.callbacks.panels import LogRestorations

__all__ = ["LogRestorations", "SaveBundle"]
