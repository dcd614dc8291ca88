"""Fixtures that several layers use."""

import os
from pathlib import Path

import pytest
import torch

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """The pictures are small: more threads gain nothing, and wait for each other on a busy machine."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def cbsd68() -> Path:
    """The colour test set, where there is a copy beside the checkout."""
    folder = SHARED / "test" / "CBSD68"
    if not folder.is_dir():
        pytest.skip("the CBSD68 test set is not on this machine")
    return folder
