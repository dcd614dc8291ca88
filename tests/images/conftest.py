"""Fixtures of the tests around files."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def everybodys() -> Iterator[Path]:
    """A folder that everybody may enter."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody who may not")
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)
