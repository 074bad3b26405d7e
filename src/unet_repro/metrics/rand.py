"""Rand and information scores of an instance segmentation, over the pixels that are in a cell of the truth."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.integer]


@dataclass(frozen=True)
class RandScores:
    """Scores in [0, 1], 1 is best; split errors lower the ``split`` scores, merge errors the ``merge`` scores.

    Attributes:
        v_rand: Rand F-score.
        v_rand_split: Share of the truth's pairs that are also joined in the prediction.
        v_rand_merge: Share of the prediction's pairs that are also joined in the truth.
        v_info: Information F-score.
        v_info_split: Mutual information over the prediction's entropy.
        v_info_merge: Mutual information over the truth's entropy.
        rand_error: 1 - F-score of pairs of different pixels, the measure of the challenge's first years.
    """

    v_rand: float
    v_rand_split: float
    v_rand_merge: float
    v_info: float
    v_info_split: float
    v_info_merge: float
    rand_error: float


def rand_scores(truth: Labels, predicted: Labels) -> RandScores:
    """Foreground-restricted Rand and information scores (Arganda-Carreras et al. 2015, 10.3389/fnana.2015.00142).

    With ``p_ij`` the share of the truth's cell pixels in predicted object i and true cell j, ``s_i`` and ``t_j`` its
    sums, and H entropies:

        V_rand = sum p_ij^2 / (sum s_i^2 / 2 + sum t_j^2 / 2)      split: over sum t_j^2, merge: over sum s_i^2
        V_info = I(S; T) / (H(S) / 2 + H(T) / 2)                   split: over H(S), merge: over H(T)

    A cell pixel that is in no predicted object counts as an object of its own, as in the challenge's program.
    ``rand_error`` counts pairs of different pixels, without pixels in no object, also as in that program.

    Args:
        truth: Instance numbers ``(H, W)``, 0 = background, which is ignored.
        predicted: Likewise, 0 = in no object.

    Returns:
        The scores. If there are neither cells nor objects they are perfect; if there are cells but no objects they are
        zero. A score of 0/0, such as the information of a single cell that is one object, is 1.

    >>> scores = rand_scores(np.array([[1, 1, 0, 2, 2]]), np.array([[7, 7, 0, 7, 7]]))  # two cells merged
    >>> scores.v_rand_split, scores.v_rand_merge, scores.v_info
    (1.0, 0.5, 0.0)
    """
    inside = truth > 0
    if not inside.any() or not (predicted > 0).any():
        perfect = float(inside.any() == (predicted > 0).any())
        return RandScores(perfect, perfect, perfect, perfect, perfect, perfect, 1 - perfect)
    cells, objects = truth[inside].astype(np.int64), predicted[inside].astype(np.int64)
    number = cells.size
    alone = int((objects == 0).sum())
    joint = _counts(cells[objects > 0] * (int(objects.max()) + 1) + objects[objects > 0])
    true, found = _counts(cells), _counts(objects[objects > 0])
    # Pixels in no object are objects of one pixel each.
    both_pairs, true_pairs = float((joint**2).sum() + alone), float((true**2).sum())
    found_pairs = float((found**2).sum() + alone)
    joint_entropy, true_entropy = _entropy(joint, alone, number), _entropy(true, 0, number)
    found_entropy = _entropy(found, alone, number)
    information = max(true_entropy + found_entropy - joint_entropy, 0.0)
    joined = float((joint * (joint - 1)).sum())
    pairs = float((true * (true - 1)).sum() + (found * (found - 1)).sum())
    return RandScores(
        v_rand=2 * both_pairs / (true_pairs + found_pairs),
        v_rand_split=both_pairs / true_pairs,
        v_rand_merge=both_pairs / found_pairs,
        v_info=_ratio(2 * information, true_entropy + found_entropy),
        v_info_split=_ratio(information, found_entropy),
        v_info_merge=_ratio(information, true_entropy),
        rand_error=1 - _ratio(2 * joined, pairs),
    )


def _counts(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """How often each number occurs."""
    if numbers.size and numbers.max() < 1 << 22:
        counts = np.bincount(numbers)
        return counts[counts > 0].astype(np.float64)
    return np.unique(numbers, return_counts=True)[1].astype(np.float64)


def _entropy(counts: npt.NDArray[np.float64], alone: int, number: int) -> float:
    """Entropy of pixels in groups of these sizes and some single pixels, in nats."""
    shares = counts / number
    return float(-(shares * np.log(shares)).sum() + alone / number * np.log(number))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 1.0
