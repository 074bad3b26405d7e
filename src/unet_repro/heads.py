"""How the outputs of a network are read: as class scores, and for objects also as a map of their seeds.

Tensor names: B batch, H W input, h w output, K classes, R outputs of the network.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

HeadKind = Literal["classes", "border", "distance"]
LEAST = 1e-12  # smallest probability whose logarithm is taken


@dataclass(frozen=True)
class Head:
    """The meaning of a network's outputs.

    The seed map is near 1 in the inner part of each object and near 0 between two objects: each of its pieces is the
    seed of one object (``inference.instances``).

    Attributes:
        num_classes: K classes of the data, background first.
        kind: ``classes``: R = K class scores. ``border``, for K = 2: the scores of background, inner part and border of
            objects, R = 3; class 1 is both parts, the seed map is the probability of the inner part. ``distance``:
            class scores and the distance from the object's outline, R = K + 1; the seed map is the distance.
    """

    num_classes: int
    kind: HeadKind = "classes"

    @property
    def num_outputs(self) -> int:
        """R."""
        return self.num_classes + self.has_seeds

    @property
    def has_seeds(self) -> bool:
        """Whether there is a seed map."""
        return self.kind != "classes"

    @property
    def names(self) -> tuple[str, ...]:
        """The name of the seed map's channel, which follows the classes; empty without one."""
        return ("inner_part" if self.kind == "border" else "distance",) if self.has_seeds else ()

    def read(self, raw_BRhw: Tensor) -> Tensor:
        """Class scores, whose softmax gives probabilities, followed by the seed map if there is one.

        Args:
            raw_BRhw: ``(B, R, h, w)`` float, the outputs of the network.

        Returns:
            ``(B, K, h, w)``, or ``(B, K + 1, h, w)`` with a seed map in [0, 1]; float32 at least.

        >>> raw = torch.tensor([0.0, 1.0, 1.0]).reshape(1, 3, 1, 1)
        >>> probabilities_of(Head(2, "border").read(raw), 2).flatten()
        tensor([0.1554, 0.8446, 0.4223])
        >>> Head(2, "distance").read(raw).flatten()
        tensor([0., 1., 1.])
        """
        if not self.has_seeds:
            return raw_BRhw
        raw = raw_BRhw.to(torch.promote_types(raw_BRhw.dtype, torch.float32))
        if self.kind == "border":
            object_score = torch.logsumexp(raw[:, 1:], 1, keepdim=True)
            return torch.cat([raw[:, :1], object_score, raw.softmax(1)[:, 1:2]], 1)
        return torch.cat([raw[:, :-1], raw[:, -1:].clamp(0, 1)], 1)


def probabilities_of(scores: Tensor, num_classes: int, dim: int = 1) -> Tensor:
    """Class probabilities from class scores; further channels, such as a seed map, are passed on.

    Args:
        scores: Class scores along ``dim``, and further channels.
        num_classes: K.
        dim: The dimension of the channels.
    """
    if scores.shape[dim] == num_classes:
        return scores.softmax(dim)
    classes, others = _parted(scores, num_classes, dim)
    return torch.cat([classes.softmax(dim), others], dim)


def scores_of(probabilities: Tensor, num_classes: int, dim: int = 1) -> Tensor:
    """Class scores whose softmax gives these probabilities; the inverse of ``probabilities_of``."""
    classes, others = _parted(probabilities, num_classes, dim)
    return torch.cat([classes.clamp(min=LEAST).log(), others], dim)


def _parted(maps: Tensor, num_classes: int, dim: int) -> tuple[Tensor, Tensor]:
    """The channels of the classes, and the others."""
    return maps.narrow(dim, 0, num_classes), maps.narrow(dim, num_classes, maps.shape[dim] - num_classes)
