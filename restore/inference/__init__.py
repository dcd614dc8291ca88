"""Using trained networks: tiling, restoring, scoring and demonstrating; never imports Lightning."""
