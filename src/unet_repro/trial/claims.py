"""The claims on trial, as data: statement, source, comparison, and decision rule.

A claim is tested by contrasts: weighted sums of arms' values of one measure, paired by seed and, if the measure has a
value for every image, by image. The claim is supported if it holds for all of its primary contrasts, refuted if it
fails for one of them, and inconclusive otherwise (``trial.verdict``). Margins are the smallest differences that matter.
The claims, their decision rules and the margin of IoU in C2 are from the protocol. The choice of primary contrasts and
the other margins were written when the results of the core comparisons at the cpu scale were already known.
"""

from dataclasses import dataclass

from unet_repro.trial.contrasts import Contrast, Term, versus


@dataclass(frozen=True)
class Claim:
    """A claim on trial.

    Attributes:
        id: ``C1`` to ``C10``.
        statement: What is claimed.
        source: The source of the claim.
        experiment: The comparison that tests it.
        varies: Settings in which its arms may differ, as prefixes of their names in the configuration (``split`` also
            covers the training images; ``budget.input`` and ``budget.output`` the pixels of a step).
        contrasts: The tests of the claim.
        rule: The decision rule as text.
        seeds: Number of seeds required for a verdict.
    """

    id: str
    statement: str
    source: str
    experiment: str
    varies: tuple[str, ...]
    contrasts: tuple[Contrast, ...]
    rule: str
    seeds: int = 3

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of all arms in its contrasts, in order of appearance."""
        return tuple(dict.fromkeys(arm for contrast in self.contrasts for term in contrast.terms for arm in term.arms))


_PAPER = "Ronneberger, Fischer, Brox 2015 (arXiv:1505.04597)"
_EARLIER = '"Reproducing U-Net", 2025'
_IOU = 0.01  # the protocol's margin for IoU

_TILE_PAIRS = ("380, equal input", "252, equal input", "380, equal output")
_MAPS = ("class_balance", "border_only", "morphological", "paper")
_SGD, _FAST, _SLOW = "SGD 0.99, 1e-3", "Adam, 1e-3", "Adam, 3e-4"
_FIXED_SCHEDULES = ("step", "cosine", "warmup_cosine")
_NORMS = ("batch", "instance", "group")
_FOLDS = range(3)


def _folds(way: str) -> tuple[str, ...]:
    return tuple(f"{way}, fold {fold}" for fold in _FOLDS)


def _loss_with_few(number: int) -> Contrast:
    """How much less SGD loses than Adam when training on only a few images."""
    few, whole = f"{number}", "all"
    return Contrast(
        f"(SGD {few} − {whole}) − (Adam {few} − {whole})",
        "iou_per_image",
        (
            Term((f"SGD, {few}",), 1.0),
            Term((f"SGD, {whole}",), -1.0),
            Term((f"Adam, {few}",), -1.0),
            Term((f"Adam, {whole}",), 1.0),
        ),
        "higher",
        _IOU,
        primary=number == 3,
    )


def _more_than(step: tuple[str, str]) -> Contrast:
    """How much more elastic deformation adds than another step of the ladder."""
    terms = (
        Term(("+ elastic",), 1.0),
        Term(("+ grey values",), -1.0),
        Term((step[1],), -1.0),
        Term((step[0],), 1.0),
    )
    return Contrast(f"gain of elastic − gain of {step[1].removeprefix('+ ')}", "iou_per_image", terms, "higher", _IOU)


CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="C1",
        statement="At equal pixels per step larger tiles give smoother curves and at least equal IoU.",
        source=f"{_PAPER}, section 3: large input tiles are favoured over a large batch; {_EARLIER}",
        experiment="tile_size",
        varies=("tiles.size", "tiles.unit", "budget.input", "budget.output"),
        contrasts=(
            *(versus("572", smaller, "iou_per_image", "not lower", _IOU) for smaller in _TILE_PAIRS),
            *(versus("572", smaller, "roughness", "lower", 0.005) for smaller in _TILE_PAIRS),
        ),
        rule="Final IoU of 572 not lower than that of smaller tiles by 0.01 or more, and its curve less rough, for "
        "equal input and for equal output pixels alike.",
    ),
    Claim(
        id="C2",
        statement="Weight maps bring no noticeable gain in IoU on EM.",
        source=f"{_EARLIER}, against {_PAPER}, section 3, equation 2",
        experiment="weight_map",
        varies=("weight_map",),
        contrasts=(
            *(versus(weights, "none", "iou_per_image", "equivalent", _IOU) for weights in _MAPS),
            *(versus(weights, "none", "pair_f_score", "equivalent", _IOU, primary=False) for weights in _MAPS),
        ),
        rule="Final IoU with each of the four maps equivalent to that without, within 0.01 (two one-sided tests); "
        "so a noticeable loss refutes it as a gain would.",
    ),
    Claim(
        id="C3",
        statement="Adam converges faster than SGD with momentum 0.99 but overfits, the more so at a high "
        "learning rate.",
        source=_EARLIER,
        experiment="optimizer",
        varies=("optimizer",),
        contrasts=(
            versus(_FAST, _SGD, "steps_to_iou", "lower", 0.0),
            versus(_FAST, _SGD, "generalisation_gap", "higher", 0.01),
            versus(_FAST, _SLOW, "generalisation_gap", "higher", 0.01),
            versus(_SLOW, _SGD, "steps_to_iou", "lower", 0.0, primary=False),
            versus(_FAST, _SGD, "iou_per_image", "higher", _IOU, primary=False),
        ),
        rule="Adam at 1e-3 needs fewer steps than SGD to the IoU that all runs reach, ends with a larger gap between "
        "validation and training cross-entropy, and a larger one than Adam at 3e-4.",
    ),
    Claim(
        id="C4",
        statement="SGD with momentum 0.99 is slower than Adam but more robust on few images.",
        source=_EARLIER,
        experiment="few_images",
        varies=("optimizer", "split"),
        contrasts=(
            versus("SGD, all", "Adam, all", "steps_to_iou", "higher", 0.0),
            _loss_with_few(3),
            _loss_with_few(6),
            _loss_with_few(12),
            versus("SGD, 3", "Adam, 3", "iou_per_image", "higher", _IOU, primary=False),
        ),
        rule="SGD needs more steps than Adam to the IoU that all runs reach, and loses less final IoU from all "
        "training slices to three.",
    ),
    Claim(
        id="C5",
        statement="Reducing Adam's learning rate adaptively avoids collapse and keeps a high IoU.",
        source=_EARLIER,
        experiment="lr_schedule",
        varies=("schedule",),
        contrasts=(
            versus("plateau", "constant", "collapsed", "lower", 0.1),
            versus("plateau", "constant", "iou_per_image", "not lower", _IOU),
            *(versus(name, "constant", "collapsed", "lower", 0.1, primary=False) for name in _FIXED_SCHEDULES),
            *(versus(name, "constant", "iou_per_image", "not lower", _IOU, primary=False) for name in _FIXED_SCHEDULES),
        ),
        rule="Fewer runs collapse (end below half of their own best IoU) with the plateau schedule than at a constant "
        "rate, and its final IoU is not lower by 0.01 or more.",
    ),
    Claim(
        id="C6",
        statement="Elastic deformation is the key augmentation with few images.",
        source=f"{_PAPER}, section 3.1",
        experiment="augmentation",
        varies=("augment",),
        contrasts=(
            versus("+ elastic", "+ grey values", "iou_per_image", "higher", _IOU),
            _more_than(("none", "flips and rotations")),
            _more_than(("flips and rotations", "+ grey values")),
        ),
        rule="With six training slices, elastic deformation raises the final IoU, and by more than either other step "
        "of the ladder does.",
    ),
    Claim(
        id="C7",
        statement="Mirrored overlap-tiles leave no seams and lose nothing at the border.",
        source=f"{_PAPER}, section 2, figure 2",
        experiment="overlap_tile",
        varies=(),
        contrasts=(
            Contrast(
                "stitched − whole",
                "seam",
                (Term(("base",), 1.0, "small tiles"),),
                "equivalent",
                1e-4,
            ),
            versus("base", "base", "border_iou", "higher", 0.0, variants=("mirror", "zero")),
        ),
        rule="Largest difference of a class probability between stitched small tiles and the whole image within "
        "0.0001, and in the 92-pixel border band a higher IoU with mirroring than with zeros.",
    ),
    Claim(
        id="C8",
        statement="Averaging the predictions of rotated views helps.",
        source=f"{_PAPER}, section 4: 7 rotated versions",
        experiment="rotations",
        varies=(),
        contrasts=tuple(
            versus("base", "base", measure, "higher", 0.005, primary=primary, variants=(views, "1"))
            for measure, views, primary in (
                ("rotated_iou", "7", True),
                ("rotated_iou", "4", False),
                ("rotated_iou", "8", False),
                ("rotated_pairs", "7", False),
            )
        ),
        rule="Higher IoU from the mean of 7 rotated views than from one, paired by image.",
    ),
    Claim(
        id="C9",
        statement="A random split flatters: neighbouring slices on both of its sides raise the validation IoU.",
        source=f"this project, of {_EARLIER}'s random 80/20 split",
        experiment="split",
        varies=("split",),
        contrasts=(
            Contrast(
                "random − blocks",
                "iou_per_image",
                (Term(_folds("random"), 1.0), Term(_folds("blocks"), -1.0)),
                "higher",
                _IOU,
            ),
            Contrast(
                "random − blocks",
                "val_loss",
                (Term(_folds("random"), 1.0), Term(_folds("blocks"), -1.0)),
                "lower",
                0.01,
                primary=False,
            ),
        ),
        rule="Every slice validates once in three folds of either kind; its IoU is higher where the folds are random.",
    ),
    Claim(
        id="C10",
        statement="Normalisation reaches a given IoU in less time, but instance and group norm make a prediction "
        "depend on the tile.",
        source="this project; the paper has no normalisation",
        experiment="normalisation",
        varies=("model.norm",),
        contrasts=(
            *(versus(norm, "none", "iou_at_equal_time", "higher", _IOU) for norm in _NORMS),
            *(
                Contrast(f"{norm}: stitched − whole", "seam", (Term((norm,), 1.0, "small tiles"),), "higher", 1e-4)
                for norm in ("instance", "group")
            ),
            *(versus(norm, "none", "iou_per_image", "higher", _IOU, primary=False) for norm in _NORMS),
            *(versus(norm, "none", "pair_f_score", "higher", _IOU, primary=False) for norm in _NORMS),
        ),
        rule="Higher IoU than without normalisation after equal training time for batch, instance and group norm each; "
        "and with instance and group norm a stitched prediction that differs from the whole image's.",
    ),
)
