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

import numpy as np
import numpy.typing as npt
import torch

from unet_repro.config import make
from unet_repro.data.datamodule import WholeImage
from unet_repro.data.labels import IGNORED, Labels
from unet_repro.data.sample import GoldSource
from unet_repro.data.sources.folder import Folder
from unet_repro.evaluation.groups import Group
from unet_repro.evaluation.held_out import overlap
from unet_repro.evaluation.measured import MEAN, Assessment, ImageMeasures, Probability
from unet_repro.evaluation.trained_run import Part, Precision, Trained, open_trained
from unet_repro.inference.instance_settings import InstanceSettings
from unet_repro.inference.instances import candidates, each_candidate, foreground, to_instances
from unet_repro.inference.rotations import Views
from unet_repro.metrics.cell_tracking import det_counts, seg_both_ways, seg_scores
from unet_repro.metrics.isbi import slice_measures
from unet_repro.metrics.pixel import confusion, pixel_measures
from unet_repro.runs.identity import setting_id
from unet_repro.runs.network import Checkpoint

GOLD, LABELS = "the experts' gold masks", "the source's own labels"
MEMBRANES = 0.5  # own data of which cells cover a larger share, as in EM, have membranes between them
CHOICE_IMAGES = 8  # images of each run, evenly spaced, on which the settings for objects are chosen


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
    members: dict[str, dict[str, _Seen]] = {}
    chosen: dict[str, dict[str, InstanceSettings]] = {}
    best: dict[str, tuple[InstanceSettings, int]] = {}
    settings_from = ""
    data, class_names = "", tuple[str, ...]()
    setting_ids: set[str] = set()
    for seed, of_seed in all_trained.items():
        seen: dict[str, _Seen] = {}
        scored: dict[str, dict[str, npt.NDArray[np.float64]]] = {}  # run -> image -> score of each candidate
        for trained in of_seed:
            data, class_names = trained.data_name, trained.data.class_names
            setting_ids.add(setting_id(trained.config))
            found = predicted(trained, part)
            if both := seen.keys() & found.keys():
                raise overlap(name, seed, min(both), part)
            seen |= found
            for_choice = list((found if part == "val" else predicted(trained, "val")).items())
            some = for_choice[:: -(-len(for_choice) // CHOICE_IMAGES)]
            scored[trained.folder.run_id] = {key: _candidate_scores(each) for key, each in some}
        has_seeds = any(each.seeds is not None for each in seen.values())
        best |= {run: (_best(scores, has_seeds=has_seeds), len(scores)) for run, scores in scored.items()}
        chosen[f"seed {seed}"], settings_from = _choose(seen, scored, part)
        members[f"seed {seed}"] = seen
    if len(members) > 1 and (means := _mean(list(members.values()))):
        members[MEAN] = means
        chosen[MEAN] = {key: _most_frequent([by[key] for by in chosen.values()]) for key in members[MEAN]}
    measured: dict[str, list[ImageMeasures]] = {}
    truths = [each.truth for each in list(members.values())[-1].values()]
    membranes = data != Folder.name or float(np.mean([(truth > 0).mean() for truth in truths])) > MEMBRANES
    for member, seen in members.items():
        measured[member] = []
        for key in sorted(seen):
            settings = chosen[member][key]
            measured[member].append(_measure(seen[key], settings, class_names, warping=warping, membranes=membranes))
            image_done()
    last = list(members.values())[-1]
    cases = {
        key: (each.image.image, each.truth, each.probability, each.seeds)
        for key, each in last.items()
        if each.judged_by
    }
    truth = " and ".join(sorted({each.judged_by for each in last.values() if each.judged_by}))
    setting = setting_ids.pop() if len(setting_ids) == 1 else ""
    return Assessment(name, data, class_names, measured, truth, settings_from, best, setting, cases)


def _predict(
    trained: Trained, part: Part, *, views: Views, gold: bool, image_done: Callable[[], object]
) -> dict[str, _Seen]:
    """Predicts the probability of the foreground for every labelled image of a part."""
    source = make("data", trained.config.data)
    experts = source if isinstance(source, GoldSource) else None
    masks = experts.gold() if experts and gold else {}
    markers = experts.markers() if experts else {}
    labels = {sample.key: sample.labels for sample in trained.data.samples[part] if sample.labels is not None}
    some_gold = not labels.keys().isdisjoint(masks)
    seen = {}
    with torch.inference_mode():
        for image in trained.images(part):
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


def _mean(members: Sequence[Mapping[str, _Seen]]) -> dict[str, _Seen]:
    """The images that all seeds hold out, each with the mean of their probabilities; objects have no mean."""
    shared = [key for key in members[0] if all(key in seen and seen[key].objects is None for seen in members)]
    means = {}
    for key in shared:
        by_class = [one for seen in members if (one := seen[key].by_class) is not None]
        seeds = [one for seen in members if (one := seen[key].seeds) is not None]
        means[key] = replace(
            members[0][key],
            run_id="",
            probability=np.mean([seen[key].probability for seen in members], axis=0),
            by_class=np.mean(by_class, axis=0) if by_class else None,
            seeds=np.mean(seeds, axis=0) if seeds else None,
        )
    return means


def _most_frequent(settings: Sequence[InstanceSettings]) -> InstanceSettings:
    known = candidates(has_seeds=settings[0].method == "seeds")
    return max(settings, key=lambda one: (settings.count(one), -known.index(one)))


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
