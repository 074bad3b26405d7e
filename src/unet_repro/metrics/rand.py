"""Rand score of a segmentation into instances."""

import numpy as np
import numpy.typing as npt
from skimage.metrics import adapted_rand_error


def v_rand(truth: npt.NDArray[np.integer], predicted: npt.NDArray[np.integer]) -> float:
    """Foreground-restricted Rand F-score of two labellings: 1 if every cell is one piece, lower by merges and splits.

    The harmonic mean of the shares of pixel pairs that are joined in both among those joined in one of them
    (Arganda-Carreras et al. 2015, 10.3389/fnana.2015.00142, with alpha 0.5), over the pixels that lie in a cell of the
    truth; computed by scikit-image. A pixel that the prediction gives to no cell is joined to no other. As it is: no
    border is thinned, and one segmentation is judged, no best threshold.

    Args:
        truth: Instance numbers ``(H, W)``, 0 = background.
        predicted: Likewise.

    Returns:
        In [0, 1]; 1 where neither holds a cell, 0 where one of them holds none.

    >>> v_rand(np.array([[1, 1, 0, 2, 2]]), np.array([[7, 7, 0, 7, 7]]))  # two cells merged
    0.5
    """
    if not (truth > 0).any() or not (predicted > 0).any():
        return float((truth > 0).any() == (predicted > 0).any())
    in_no_cell = predicted == 0
    pieces = np.where(in_no_cell, np.cumsum(in_no_cell).reshape(predicted.shape) + int(predicted.max()), predicted)
    error, _, _ = adapted_rand_error(truth, pieces, ignore_labels=(0,))  # type: ignore[no-untyped-call]
    return 1 - float(error)
