"""Evaluates groups of runs on images that they were not trained on: every measure per image, and pooled with intervals.

Out of fold: for each seed, an image is predicted by the run that held it out. Settings for converting probabilities to
objects are chosen without the measured images: for a test part on the run's validation images, for a validation part on
those of the same seed's other folds. The threshold of the ISBI measures is the best one for the measured stack, as in
the challenge.

Tensor names: K classes, H W image, T thresholds.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from unet_repro.config import make
from unet_repro.data.datamodule import WholeImage
from unet_repro.data.labels import IGNORED, Labels
from unet_repro.data.sample import GoldSource
from unet_repro.data.sources.folder import Folder
from unet_repro.evaluation.groups import Group
from unet_repro.evaluation.held_out import for_choice, overlap
from unet_repro.evaluation.measured import GOLD, LABELS, MEAN, Assessment, ImageMeasures, Probability, notable
from unet_repro.evaluation.trained_run import Part, Precision, Trained, open_trained
from unet_repro.inference.instance_settings import InstanceSettings
from unet_repro.inference.instances import candidates, each_candidate, foreground, to_instances
from unet_repro.inference.rotations import Views
from unet_repro.metrics.cell_tracking import det_counts, seg_both_ways, seg_scores
from unet_repro.metrics.isbi import slice_measures
from unet_repro.metrics.pixel import confusion, pixel_measures
from unet_repro.runs.identity import setting_id
from unet_repro.runs.network import Checkpoint

MEMBRANES = 0.5  # own data of which cells cover a larger share, as in EM, have membranes between them


@dataclass(frozen=True)
class _Seen:
    """An image with its ground truth and a predicted probability."""

    image: WholeImage
    run_id: str
    truth: Labels  # gold if available
    judged_by: str | None  # kind of truth; None for a frame without gold if others have it: used for DET only
    markers: Labels | None
    probability: Probability  # of all classes but the first
    by_class: npt.NDArray[np.float32] | None  # (K, H, W), for more than two classes
    seeds: Probability | None  # the seed map, if the network has one
    objects: Labels | None  # those that were found without the probability


def assess(
    group: Group,
    *,
    part: Part,
    checkpoint: Checkpoint,
    views: Views = 1,
    precision: Precision = 32,
    warping: bool = True,
    gold: bool = True,
    data_root: Path | None = None,
    image_done: Callable[[], object] = lambda: None,
) -> Assessment:
    """Evaluates a group of runs.

    Args:
        group: The group of runs.
        part: Images of each run to measure: ``val`` (out of fold) or ``test`` (the other sequence).
        checkpoint: The weights to use.
        views: Number of rotated views to average.
        precision: Precision of the networks' matrix products.
        warping: Whether to measure the warping error, which takes longest.
        gold: Whether gold masks judge a part that has any, and its other images do not; otherwise the source's labels
            judge every image.
        data_root: Where the runs' data are now; ``None`` for where they were in training.
        image_done: Called after each image is predicted or measured.

    Raises:
        RunError: If a run has no such checkpoint, or its data have changed.
        DataError: If a part has no labels, or two runs of a seed hold out the same image.
    """
    members = {
        seed: (open_trained(run, checkpoint, precision, data_root) for run in runs)
        for seed, runs in group.members.items()
    }
    return assess_trained(
        group.name, members, part=part, views=views, warping=warping, gold=gold, image_done=image_done
    )


def assess_trained(
    name: str,
    all_trained: Mapping[int, Iterable[Trained]],
    *,
    part: Part,
    views: Views = 1,
    warping: bool = True,
    gold: bool = True,
    image_done: Callable[[], object] = lambda: None,
) -> Assessment:
    """Evaluates trained networks, one after the other.

    Args:
        name: Name of the group.
        all_trained: Seed -> its networks, one for each held-out fold or sequence.
        part: See ``assess``, as for the other arguments.
        views: Number of rotated views.
        warping: Whether to measure the warping error.
        gold: Whether gold masks judge.
        image_done: Called after each image.

    Raises:
        DataError: If a part has no labels, or two networks of a seed hold out the same image.
    """
    predicted = partial(_predict, views=views, gold=gold, image_done=image_done)
    measured: dict[str, list[ImageMeasures]] = {}
    chosen: dict[str, dict[str, InstanceSettings]] = {}
    best: dict[str, tuple[InstanceSettings, int]] = {}
    settings_from = ""
    data, class_names = "", tuple[str, ...]()
    setting_ids: set[str] = set()
    seen: dict[str, _Seen] = {}  # of one seed at a time: a long sequence takes gigabytes
    sums: dict[str, _Seen] = {}
    for seed, of_seed in all_trained.items():
        seen = {}
        scored: dict[str, dict[str, npt.NDArray[np.float64]]] = {}  # run -> image -> score of each candidate
        for trained in of_seed:
            data, class_names = trained.data_name, trained.data.class_names
            setting_ids.add(setting_id(trained.config))
            found = predicted(trained, part, trained.images(part))
            if both := seen.keys() & found.keys():
                raise overlap(name, seed, min(both), part)
            seen |= found
            val = found if part == "val" else predicted(trained, "val", for_choice(trained.images("val")))
            scored[trained.folder.run_id] = {key: _candidate_scores(val[key]) for key in for_choice(list(val))}
        has_seeds = any(each.seeds is not None for each in seen.values())
        best |= {run: (_best(scores, has_seeds=has_seeds), len(scores)) for run, scores in scored.items()}
        chosen[f"seed {seed}"], settings_from = _choose(seen, scored, part)
        covered = float(np.mean([(each.truth > 0).mean() for each in seen.values()]))
        measure = partial(
            _measure_all,
            class_names=class_names,
            warping=warping,
            membranes=data != Folder.name or covered > MEMBRANES,
            image_done=image_done,
        )
        measured[f"seed {seed}"] = measure(seen, chosen[f"seed {seed}"])
        sums = seen if len(measured) == 1 else _added(sums, seen)
    if len(measured) > 1 and sums:
        number = np.float32(len(measured))
        seen = {key: _combined(lambda total: total / number, one) for key, one in sums.items()}
        measured[MEAN] = measure(seen, {key: _most_frequent([by[key] for by in chosen.values()]) for key in seen})
    shown = [seen[image.key] for _, image in notable(measured)]
    cases = {each.image.key: (each.image.image, each.truth, each.probability, each.seeds) for each in shown}
    truth = " and ".join(sorted({each.judged_by for each in seen.values() if each.judged_by}))
    setting = setting_ids.pop() if len(setting_ids) == 1 else ""
    return Assessment(name, data, class_names, measured, truth, settings_from, best, setting, cases)


def _predict(
    trained: Trained,
    part: Part,
    images: Iterable[WholeImage],
    *,
    views: Views,
    gold: bool,
    image_done: Callable[[], object],
) -> dict[str, _Seen]:
    """Predicts the probability of the foreground for labelled images of a part."""
    source = make("data", trained.config.data)
    experts = source if isinstance(source, GoldSource) else None
    masks = experts.gold() if experts and gold else {}
    markers = experts.markers() if experts else {}
    labels = {sample.key: sample.labels for sample in trained.data.samples[part] if sample.labels is not None}
    some_gold = not labels.keys().isdisjoint(masks)
    seen = {}
    with torch.inference_mode():
        for image in images:
            num_classes = len(trained.data.class_names)
            maps_KHW = trained.maps(image, views)
            mean_KHW, others = maps_KHW[:num_classes], maps_KHW[num_classes:]
            ignored = torch.from_numpy(image.classes == IGNORED).to(mean_KHW.device)
            mean_KHW[:, ignored] = 0  # in no measure: background
            mean_KHW[0, ignored] = 1
            is_gold = image.key in masks
            seen[image.key] = _Seen(
                image=image,
                run_id=trained.folder.run_id,
                truth=masks[image.key] if is_gold else labels[image.key],
                judged_by=GOLD if is_gold else None if some_gold else LABELS,
                markers=markers.get(image.key),
                probability=foreground(mean_KHW).cpu().numpy(),
                by_class=None if len(mean_KHW) == 2 else mean_KHW.cpu().numpy(),
                seeds=others[0].cpu().numpy() if len(others) else None,
                objects=trained.objects(image),
            )
            image_done()
    return seen


def _candidate_scores(seen: _Seen) -> npt.NDArray[np.float64]:
    return np.array([seg_both_ways(seen.truth, objects) for objects in each_candidate(seen.probability, seen.seeds)])


def _choose(
    seen: Mapping[str, _Seen], scored: Mapping[str, Mapping[str, npt.NDArray[np.float64]]], part: Part
) -> tuple[dict[str, InstanceSettings], str]:
    """For each image, the candidate with the best mean ``seg_both_ways`` on other images, and which those are."""
    runs = {each.run_id for each in seen.values()}
    has_seeds = any(each.seeds is not None for each in seen.values())
    chosen: dict[str, InstanceSettings] = {}
    for run in runs:
        if part != "val":
            basis, where = scored[run], "each run's validation images"
        elif len(runs) > 1:
            basis = {key: score for other in runs - {run} for key, score in scored[other].items()}
            where = "the other folds' held-out images"
        else:
            basis, where = scored[run], "the measured images themselves (optimistic)"
        best = _best(basis, has_seeds=has_seeds)
        chosen |= {key: best for key, each in seen.items() if each.run_id == run}
    return chosen, where


def _best(scores: Mapping[str, npt.NDArray[np.float64]], *, has_seeds: bool) -> InstanceSettings:
    """The candidate with the best mean score."""
    return candidates(has_seeds=has_seeds)[int(np.mean(list(scores.values()), axis=0).argmax())]


def _added(sums: Mapping[str, _Seen], seen: Mapping[str, _Seen]) -> dict[str, _Seen]:
    """The images that both hold out, with the sums of their maps; objects have no sum."""
    shared = [key for key, one in sums.items() if key in seen and one.objects is None]
    return {key: _combined(np.add, sums[key], seen[key]) for key in shared}


def _combined(function: Callable[..., Probability], *seen: _Seen) -> _Seen:
    """An image with a function of its maps, or of its maps by several seeds; a map that it lacks stays missing."""
    present = [name for name in ("probability", "by_class", "seeds") if getattr(seen[0], name) is not None]
    maps: dict[str, Any] = {name: function(*(getattr(each, name) for each in seen)) for name in present}
    return replace(seen[0], run_id="", **maps)


def _most_frequent(settings: Sequence[InstanceSettings]) -> InstanceSettings:
    known = candidates(has_seeds=settings[0].method == "seeds")
    return max(settings, key=lambda one: (settings.count(one), -known.index(one)))


def _measure_all(
    seen: Mapping[str, _Seen],
    settings: Mapping[str, InstanceSettings],
    *,
    class_names: Sequence[str],
    warping: bool,
    membranes: bool,
    image_done: Callable[[], object],
) -> list[ImageMeasures]:
    measured = []
    for key in sorted(seen):
        measured.append(_measure(seen[key], settings[key], class_names, warping=warping, membranes=membranes))
        image_done()
    return measured


def _measure(
    seen: _Seen, settings: InstanceSettings, class_names: Sequence[str], *, warping: bool, membranes: bool
) -> ImageMeasures:
    likely = seen.probability > 0.5 if seen.by_class is None else seen.by_class.argmax(0)
    objects = to_instances(seen.probability, settings, seen.seeds) if seen.objects is None else seen.objects
    counts = None if seen.markers is None else det_counts(seen.markers, objects)
    if seen.judged_by is None:
        return ImageMeasures(seen.image.key, seen.run_id, {}, {}, settings, np.empty(0), counts)
    matrix = confusion(torch.from_numpy(likely).long(), torch.from_numpy(seen.image.classes).long(), len(class_names))
    pixel = pixel_measures(matrix[None], class_names)
    has_membranes = membranes and seen.markers is None and seen.by_class is None
    return ImageMeasures(
        key=seen.image.key,
        run_id=seen.run_id,
        sweep=slice_measures(seen.truth, seen.probability, warping=warping) if has_membranes else {},
        pixel={name: float(value) for name, value in pixel.items()},
        settings=settings,
        seg=seg_scores(seen.truth, objects),
        det=counts,
        objects=(_number(seen.truth), _number(objects)),
    )


def _number(labels: Labels) -> int:
    return len(np.unique(labels[labels > 0]))
