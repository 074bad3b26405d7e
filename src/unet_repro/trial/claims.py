"""The tested claims, as data: parts, contrasts, margins, premises and words (docs/science/trial.md).

Written before any run with a seed from 100 on was trained. The number of contrasts is fixed: it is the family that
the levels of the tests are divided by.
"""

from unet_repro.trial.contrasts import Claim, Contrast, Exact, Part, Premise, Quantity, Term, Words, versus

FAMILY = 21  # contrasts of all claims

_PAPER = "Ronneberger, Fischer, Brox 2015 (arXiv:1505.04597)"
_EARLIER = '"Reproducing U-Net", 2025 (github.com/txus/unet)'
_IOU, _NATS, _FINE = 0.02, 0.02, 0.005  # margins: of IoU, of cross-entropy, and of small effects on IoU

_SMALL_TILES = ("380, equal input", "380, equal output")
_MAPS = ("class_balance", "border_only", "morphological", "paper")
_NORMS = ("batch", "instance")


def _beside(contrast: Contrast, measure: str, name: str) -> Quantity:
    """The same difference in another measure."""
    terms = tuple(Term(term.arm, term.weight, measure) for term in contrast.terms)
    return Quantity(f"{contrast.name}, {name}", terms)


def _at_half(contrasts: tuple[Contrast, ...]) -> tuple[Quantity, ...]:
    return tuple(_beside(contrast, "iou_half", "IoU at 0.5") for contrast in contrasts)


_C1A = tuple(versus("572", smaller, "N", _IOU) for smaller in _SMALL_TILES)
_C1B = tuple(versus(smaller, "572", "S", _FINE, measures=("roughness", "roughness")) for smaller in _SMALL_TILES)
_C2 = tuple(versus("none", weights, "N", _IOU) for weights in _MAPS)
_C4_LOSSES = tuple(
    Quantity(f"{name} all − {name} 3", (Term(f"{name}, all", 1.0), Term(f"{name}, 3", -1.0)))
    for name in ("Adam", "SGD")
)
_C4 = (
    Contrast(
        "(Adam all − Adam 3) − (SGD all − SGD 3)",
        (Term("Adam, all", 1.0), Term("Adam, 3", -1.0), Term("SGD, all", -1.0), Term("SGD, 3", 1.0)),
        "S",
        _IOU,
    ),
    versus(
        "SGD, 3",
        "Adam, 3",
        "N",
        _IOU,
        name="SGD 3 − Adam 3",
        words=Words(
            "with three slices SGD is not worse than Adam",
            "with three slices SGD is worse than Adam",
            better="with three slices SGD is better than Adam",
        ),
    ),
)
_C5_FINAL = versus(
    "plateau",
    "constant",
    "N",
    _IOU,
    name="final IoU, plateau − constant",
    words=Words(
        "with the lowered rate the result is not worse",
        "with the lowered rate the result is worse",
        better="with the lowered rate the result is better",
    ),
)
_C6 = (versus("with elastic", "without elastic", "S", _IOU),)
_C7B = tuple(
    versus(
        "base",
        "base",
        "N",
        _FINE,
        measures=measures,
        name=f"mirror − {other}",
        words=Words(
            f"mirroring is not worse than {other}",
            f"mirroring is worse than {other}",
            better=f"mirroring is better than {other}",
        ),
    )
    for other, measures in (
        ("zeros", ("border_mirror", "border_zeros")),
        ("real surroundings", ("border_inner_mirror", "border_inner_real")),
    )
)
_C9 = (versus("with neighbours", "without neighbours", "S", _IOU, name="with − without neighbours"),)
_C10A = tuple(versus(norm, "none", "S", _IOU) for norm in _NORMS)

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "C1",
        "At equal pixels per step larger tiles give smoother curves and at least equal IoU.",
        f"{_PAPER}, section 3: large input tiles are favoured over a large batch; {_EARLIER}",
        (
            Part(
                "C1a",
                "tile_size",
                "At the same number of pixels per training step, is one large tile (572 pixels wide) at least as good "
                "as several smaller ones (380)?",
                Words(
                    "the large tile is not worse",
                    "the large tile is worse",
                    better="the large tile is better",
                ),
                _C1A,
                varies=("tiles.size", "tiles.unit"),
                beside=_at_half(_C1A),
            ),
            Part(
                "C1b",
                "tile_size",
                "Does the quality fluctuate less from one validation to the next when training with the large tile, in "
                "the second half of the training?",
                Words(
                    "the curve of the large tile is smoother",
                    "the curve of the large tile is not smoother by an amount that matters",
                    "the curve of the large tile is rougher",
                ),
                _C1B,
                varies=("tiles.size", "tiles.unit"),
            ),
        ),
    ),
    Claim(
        "C2",
        "Weight maps bring no noticeable gain in IoU on EM.",
        f"{_EARLIER}, against {_PAPER}, section 3, equation 2",
        (
            Part(
                "C2",
                "weight_map",
                "Do networks that are trained without a weight map (for rare classes, or for thin borders between "
                "cells) reach at least the IoU of those trained with one?",
                Words(
                    "the weight map brings no gain that matters",
                    "the weight map brings a gain that matters",
                    better="the weight map brings a loss",
                ),
                _C2,
                varies=("weight_map",),
                beside=(
                    *(_beside(contrast, "v_rand", "thinned V_rand") for contrast in _C2),
                    *_at_half(_C2),
                ),
                note="The direction of this test was chosen after earlier runs (seeds 0 to 4, not counted here) had "
                "shown losses of IoU with a weight map.",
            ),
        ),
    ),
    Claim(
        "C3",
        "Adam converges faster than SGD with momentum 0.99 but overfits.",
        _EARLIER,
        (
            Part(
                "C3a",
                "optimizer",
                "Does Adam learn faster than SGD in the first quarter of the training, each at its tuned learning "
                "rate?",
                Words(
                    "Adam learns faster",
                    "Adam is not faster by an amount that matters",
                    "SGD learns faster",
                ),
                (versus("Adam", "SGD", "S", _IOU, measures=("early_iou", "early_iou")),),
                varies=("optimizer",),
            ),
            Part(
                "C3b",
                "few_images",
                "Trained on three slices, does Adam overfit more than SGD: is the loss on unseen slices further above "
                "that on the training slices?",
                Words(
                    "Adam overfits more",
                    "Adam does not overfit more by an amount that matters",
                    "SGD overfits more",
                ),
                (versus("Adam, 3", "SGD, 3", "S", _NATS, measures=("gap", "gap"), name="Adam 3 − SGD 3"),),
                varies=("optimizer",),
                premise=Premise(
                    "at least one optimizer overfits (a gap of at least 0.02 nats)",
                    "neither optimizer overfits by 0.02 nats",
                    tuple(Quantity(f"{name} 3", (Term(f"{name}, 3", 1.0, "gap"),)) for name in ("SGD", "Adam")),
                    _NATS,
                ),
            ),
        ),
    ),
    Claim(
        "C4",
        "SGD with momentum 0.99 is more robust than Adam on few images.",
        _EARLIER,
        (
            Part(
                "C4",
                "few_images",
                "Does SGD lose less than Adam when only three slices are left for training, and is it then at least "
                "as good?",
                Words(
                    "SGD loses less than Adam",
                    "SGD does not lose less than Adam by an amount that matters",
                    "SGD loses more than Adam",
                ),
                _C4,
                varies=("optimizer", "split"),
                premise=Premise(
                    "with three slices at least one optimizer loses (at least 0.02 IoU)",
                    "with three slices neither optimizer loses 0.02 IoU",
                    _C4_LOSSES,
                    _IOU,
                ),
                beside=_at_half(_C4),
            ),
        ),
    ),
    Claim(
        "C5",
        "Reducing Adam's learning rate adaptively avoids collapse and keeps a high IoU.",
        _EARLIER,
        (
            Part(
                "C5",
                "lr_schedule",
                "At a learning rate that is too high for Adam, does lowering it when progress stops prevent a loss "
                "of what was reached, without a worse result?",
                Words(
                    "lowering the rate prevents a loss",
                    "lowering the rate does not prevent a loss that matters",
                    "lowering the rate makes the loss larger",
                ),
                (
                    versus(
                        "constant",
                        "plateau",
                        "S",
                        _IOU,
                        measures=("drop", "drop"),
                        name="drop from the best IoU, constant − plateau",
                    ),
                    _C5_FINAL,
                ),
                varies=("schedule",),
                premise=Premise(
                    "at a constant rate the IoU drops below what was reached (by at least 0.02)",
                    "at a constant rate the IoU does not drop by 0.02",
                    (Quantity("drop at a constant rate", (Term("constant", 1.0, "drop"),)),),
                    _IOU,
                ),
                beside=_at_half((_C5_FINAL,)),
                keeps_all=True,
            ),
        ),
    ),
    Claim(
        "C6",
        "Elastic deformation is the key augmentation with few images.",
        f"{_PAPER}, section 3.1",
        (
            Part(
                "C6",
                "augmentation",
                "With three training slices that are already shifted, rotated and changed in grey values, does "
                "elastic deformation improve the segmentation further?",
                Words(
                    "elastic deformation helps",
                    "elastic deformation does not help by an amount that matters",
                    "elastic deformation does harm",
                ),
                _C6,
                varies=("augment",),
                premise=Premise(
                    "augmentation matters at all (without any, at least 0.02 IoU are lost)",
                    "without any augmentation less than 0.02 IoU is lost",
                    (Quantity("without elastic − none", (Term("without elastic", 1.0), Term("none", -1.0))),),
                    _IOU,
                ),
                beside=_at_half(_C6),
            ),
        ),
    ),
    Claim(
        "C7",
        "Mirrored overlap-tiles leave no seams and lose nothing at the border.",
        f"{_PAPER}, section 2, figure 2",
        (
            Part(
                "C7a",
                "overlap_tile",
                "Is a prediction stitched from small tiles the same as that of the whole image at once?",
                Words("stitched and whole predictions are the same", "stitched and whole predictions differ"),
                exact=Exact("base", "seam", 1e-5),
            ),
            Part(
                "C7b",
                "overlap_tile",
                "Near the border, is an image continued by its mirror image segmented at least as well as one "
                "continued by zeros, or by what is really there?",
                Words("mirroring is not worse", "mirroring is worse", better="mirroring is better"),
                _C7B,
            ),
        ),
    ),
    Claim(
        "C8",
        "Averaging the predictions of rotated views helps.",
        f"{_PAPER}, section 4: 7 rotated versions",
        (
            Part(
                "C8",
                "rotations",
                "Is the mean prediction of 7 rotated views better than that of one?",
                Words(
                    "averaging views helps",
                    "averaging views does not help by an amount that matters",
                    "averaging views does harm",
                ),
                (versus("base", "base", "S", _FINE, measures=("iou_7_views", "iou"), name="7 views − 1 view"),),
                beside=(
                    Quantity(
                        "7 views − 1 view, thinned V_rand",
                        (Term("base", 1.0, "v_rand_7_views"), Term("base", -1.0, "v_rand")),
                    ),
                    Quantity(
                        "7 views − 1 view, IoU at 0.5",
                        (Term("base", 1.0, "iou_half_7_views"), Term("base", -1.0, "iou_half")),
                    ),
                ),
            ),
        ),
    ),
    Claim(
        "C9",
        "A split that leaves neighbouring slices in training flatters.",
        f"this project, about the random 80/20 split of {_EARLIER}",
        (
            Part(
                "C9",
                "split",
                "Does a slice score higher when its neighbours in the stack were used for training, at equal numbers "
                "of training slices?",
                Words(
                    "neighbours in training raise the score",
                    "neighbours in training do not raise the score by an amount that matters",
                    "neighbours in training lower the score",
                ),
                _C9,
                varies=("split",),
                beside=_at_half(_C9),
            ),
        ),
    ),
    Claim(
        "C10",
        "Normalisation reaches a higher IoU in equal steps, but instance norm makes a prediction depend on the tile.",
        "this project; the paper has no normalisation",
        (
            Part(
                "C10a",
                "normalisation",
                "After the same number of steps, is a network with normalisation layers better than one without?",
                Words(
                    "normalisation helps",
                    "normalisation does not help by an amount that matters",
                    "normalisation does harm",
                ),
                _C10A,
                varies=("model.norm",),
                beside=_at_half(_C10A),
            ),
            Part(
                "C10b",
                "normalisation",
                "With instance norm, does a prediction stitched from small tiles differ from that of the whole image?",
                Words(
                    "with instance norm the prediction depends on the tile",
                    "with instance norm the prediction of some network does not depend on the tile",
                ),
                exact=Exact("instance", "seam", 1e-4, above=True),
            ),
        ),
    ),
)

# The comparisons that the claims are about, in the order of the claims.
EXPERIMENTS = tuple(dict.fromkeys(part.experiment for claim in CLAIMS for part in claim.parts))

# Parts whose arms run at the rate tuned for the base only (docs/science/trial.md).
AT_THE_BASES_RATE = ("C1a", "C1b", "C2", "C6", "C9", "C10a")
