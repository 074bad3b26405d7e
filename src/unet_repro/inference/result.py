"""What a prediction writes: classes, probabilities or numbered objects."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from unet_repro.inference.instance_settings import InstanceSettings
from unet_repro.inference.instances import foreground, stored_probability
from unet_repro.objects.write import Extra

Kind = Literal["classes", "probabilities", "instances"]
Scale = Literal["float32", "uint8", "uint16"]
Block = npt.NDArray[Any]


@dataclass(frozen=True)
class Result:
    """What is written for the class scores.

    Attributes:
        kind: Class indices, probabilities (for two classes only the last), or numbered objects of all classes but the
            first.
        dtype: Type of probabilities; integers store them times 255 or 65535, rounded.
        instances: Settings for converting probabilities to objects.
        extras: Files about the objects that are written beside numbered objects.
        class_name: Class of all objects; ``None`` if there are several.
    """

    kind: Kind
    dtype: Scale
    instances: InstanceSettings
    extras: frozenset[Extra] = frozenset()
    class_name: str | None = None

    def channels(self, num_classes: int) -> int:
        """Channels of the output."""
        return num_classes if self.kind == "probabilities" and num_classes > 2 else 1

    @property
    def stored_as(self) -> np.dtype[Any]:
        """Type of the output's values."""
        return np.dtype({"classes": "uint8", "probabilities": self.dtype, "instances": "int32"}[self.kind])

    def of(self, all_scores: Tensor, num_classes: int) -> Block:
        """Converts scores ``(K, h, w)``, and a seed map, to stored values ``(C, h, w)``.

        For instances these are the probability of the foreground, and the seed map; see ``stored_probability``.
        """
        scores_Khw, seeds = all_scores[:num_classes], all_scores[num_classes:]
        if self.kind == "classes":
            # For two classes a comparison is seven times faster than argmax.
            best = scores_Khw[1:] > scores_Khw[:1] if len(scores_Khw) == 2 else scores_Khw.argmax(0, keepdim=True)
            return best.to("cpu", torch.uint8).numpy()
        probabilities = scores_Khw.softmax(0)
        if self.kind == "instances":
            stored = stored_probability(foreground(probabilities)[None], self.instances.threshold)
            if len(seeds):
                stored = torch.cat([stored, stored_probability(seeds, self.instances.seed_threshold)])
            return stored.cpu().numpy()
        chosen = probabilities if len(probabilities) > 2 else probabilities[-1:]
        if self.dtype == "float32":
            return chosen.cpu().numpy()
        scaled: Block = (chosen * np.iinfo(self.dtype).max).round().to("cpu", torch.int32).numpy()
        return scaled.astype(self.dtype)
