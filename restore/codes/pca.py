"""PCA of pictures: the linear code that every other one is measured against."""

from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from sklearn.decomposition import PCA

__all__ = ["fit_pca"]


def fit_pca(images: Tensor, numbers: int) -> "PCA":
    """PCA of pictures, flattened.

    N pictures lie in N - 1 directions from their mean: a further component would be noise, which a probe that
    standardises its codes would take for as much as the others.

    Args:
        images: `(N, C, H, W)` float32 in [0, 1].
        numbers: Components; there are never more than the pictures have values, or than N - 1.
    """
    from sklearn.decomposition import PCA

    flat = images.flatten(1).numpy()
    return PCA(min(numbers, len(flat) - 1, flat.shape[1]), random_state=0).fit(flat)
