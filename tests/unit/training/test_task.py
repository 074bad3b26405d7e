"""One step is logged as it is; validation is whole images, unweighted; dropout is a function of (seed, step)."""

import copy
from functools import partial

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningDataModule, Trainer
from torch import nn
from torch.nn.functional import cross_entropy, pad
from torch.optim.lr_scheduler import ReduceLROnPlateau, StepLR
from torch.utils.data import DataLoader

from unet_repro.data.datamodule import WholeImage
from unet_repro.errors import TrainingError
from unet_repro.geometry import covering, halo
from unet_repro.metrics.pixel import confusion, iou_per_class, pixel_measures
from unet_repro.models.unet import UNet
from unet_repro.training.schedules import constant
from unet_repro.training.task import SegmentationTask

pytestmark = [
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers:UserWarning"),
    pytest.mark.filterwarnings("ignore:GPU available but not used:UserWarning"),
    pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning"),
]
NAMES = ("background", "cell")
TILE, OUTPUT, DEPTH = 30, 14, 1


def make_task(*, seed=0, net_seed=0, dropout=0.0, lr=0.05, schedule=constant, order=torch.channels_last):
    torch.manual_seed(net_seed)
    return SegmentationTask(
        net=UNet(width=3, depth=DEPTH, dropout=dropout),
        optimizer=partial(torch.optim.SGD, lr=lr),
        schedule=schedule,
        class_names=NAMES,
        seed=seed,
        order=order,
    )


def tiles(number, *, weight=None, seed=0):
    """Batches of two tiles; weights random or all the same."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(number, 2, 1, TILE, TILE, generator=generator)
    classes = torch.randint(2, (number, 2, OUTPUT, OUTPUT), generator=generator)
    weights = torch.rand(number, 2, OUTPUT, OUTPUT, generator=generator) * 10 + 0.1
    if weight is not None:
        weights = torch.full_like(weights, weight)
    return list(zip(images, classes, weights, strict=True))


def pictures(sizes=((40, 36), (17, 50))):
    rng = np.random.default_rng(0)
    return [
        WholeImage(f"v/{n}", rng.standard_normal((1, *size)).astype(np.float32), rng.integers(0, 2, size, np.uint8))
        for n, size in enumerate(sizes)
    ]


class Batches(LightningDataModule):
    """Ready batches from the trainer's current step on, and ready pictures; ``own`` are training images."""

    def __init__(self, train, val, own=()):
        super().__init__()
        self.train, self.val = train, [val, own] if own else [val]

    def train_dataloader(self):
        return DataLoader(self.train[self.trainer.global_step :], batch_size=None)

    def val_dataloader(self):
        return [DataLoader(images, batch_size=None, collate_fn=lambda picture: picture) for images in self.val]


class Watch(Callback):
    """Keeps what was logged at every validation and the network's weights before every step."""

    def __init__(self):
        self.logged, self.states, self.rates = [], [], []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.states.append(copy.deepcopy(pl_module.net.state_dict()))
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    def on_validation_end(self, trainer, pl_module):
        self.logged.append({name: value.item() for name, value in trainer.callback_metrics.items()})


def fit(task, train, val=None, *, own=(), val_every=None, callbacks=(), ckpt_path=None, max_steps=None):
    watch = Watch()
    trainer = Trainer(
        accelerator="cpu",
        max_steps=max_steps or len(train),
        val_check_interval=val_every or len(train),
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[watch, *callbacks],
    )
    trainer.fit(task, datamodule=Batches(train, val or pictures(), own), ckpt_path=ckpt_path, weights_only=True)
    return trainer, watch


def whole_scores(net, image):
    """The whole image in one mirrored tile, straight through the network."""
    height, width = image.shape[-2:]
    before = halo(DEPTH)
    after = [covering(extent, DEPTH) - extent - before for extent in (height, width)]
    padded = pad(torch.from_numpy(image)[None], (before, after[1], before, after[0]), mode="reflect")
    with torch.no_grad():
        return net.eval()(padded)[0, :, :height, :width]


def test_weighted_loss_and_unweighted_cross_entropy_are_logged_as_means_since_the_last_validation():
    task, batches = make_task(), tiles(5)
    _, watch = fit(task, batches, val_every=2)
    losses, entropies = [], []
    net = copy.deepcopy(task.net).train()
    for (x, classes, weights), state in zip(batches, watch.states, strict=True):
        net.load_state_dict(state)
        with torch.no_grad():
            per_pixel = -net(x).log_softmax(1).gather(1, classes[:, None])[:, 0]
        losses.append(((per_pixel * weights).sum() / weights.sum()).item())
        entropies.append(per_pixel.mean().item())

    assert len(watch.logged) == 2
    for number, logged in enumerate(watch.logged):
        steps = slice(2 * number, 2 * number + 2)
        assert logged["train/loss"] == pytest.approx(np.mean(losses[steps]), rel=1e-5)
        assert logged["train/ce"] == pytest.approx(np.mean(entropies[steps]), rel=1e-5)
        assert logged["train/loss"] != pytest.approx(logged["train/ce"], rel=1e-4)


def test_the_weighted_loss_is_what_is_minimised():
    task, batches = make_task(lr=0.05), tiles(1)
    expected = copy.deepcopy(task.net)
    x, classes, weights = batches[0]
    per_pixel = cross_entropy(expected(x), classes, reduction="none")
    ((per_pixel * weights).sum() / weights.sum()).backward()
    fit(task, batches)

    for after, before in zip(task.net.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(after, before - 0.05 * before.grad, rtol=1e-5, atol=1e-6)


def validated(net, images):
    """What a validation of this network must log, and the predicted classes."""
    matrices, predicted, total, pixels = [], {}, 0.0, 0
    for image in images:
        scores = whole_scores(net, image.image)
        truth = torch.from_numpy(image.classes).long()
        predicted[image.key] = scores.argmax(0)
        matrices.append(confusion(predicted[image.key], truth, 2))
        total += -scores.log_softmax(0).gather(0, truth[None]).sum().item()
        pixels += truth.numel()
    measures = {f"val/{name}": value.item() for name, value in pixel_measures(torch.stack(matrices), NAMES).items()}
    return {**measures, "val/loss": total / pixels}, predicted


def test_measures_are_those_of_whole_images_predicted_at_once():
    task = make_task()
    _, watch = fit(task, tiles(2), pictures())
    expected, predicted = validated(task.net, pictures())

    assert {name: watch.logged[0][name] for name in expected} == pytest.approx(expected, rel=1e-5)
    assert set(watch.logged[0]) == {*expected, "train/loss", "train/ce", "lr"}
    assert set(task.shown) == set(predicted)
    for key, classes in predicted.items():
        assert task.shown[key].dtype == torch.uint8
        assert torch.equal(task.shown[key].long(), classes)


def own_threshold(net, own, judged):
    """The threshold of the highest mean IoU on some images, and the mean IoU on others at it, one after another."""

    def mean_iou(images, threshold):
        scores = []
        for image in images:
            called = whole_scores(net, image.image).softmax(0)[1] > threshold
            matrix = confusion(called.long(), torch.from_numpy(image.classes).long(), 2)
            scores.append(iou_per_class(matrix).mean().item())
        return np.mean(scores)

    grid = [0.05 * step for step in range(1, 20)]
    threshold = max(grid, key=lambda at: (mean_iou(own, at), -abs(at - 0.5)))
    return threshold, mean_iou(judged, threshold)


def test_a_threshold_chosen_on_training_images_judges_the_validation_images():
    task = make_task(lr=0.3)
    own = [WholeImage(f"t/{n}", *image[1:]) for n, image in enumerate(pictures(((30, 41), (25, 25), (50, 20))))]
    _, watch = fit(task, tiles(3), pictures(), own=own, val_every=1)
    threshold, iou = own_threshold(task.net, own, pictures())

    assert watch.logged[-1]["val/threshold"] == pytest.approx(threshold)
    assert watch.logged[-1]["val/iou_own"] == pytest.approx(iou, abs=1e-6)
    expected, predicted = validated(task.net, pictures())
    assert {name: watch.logged[-1][name] for name in expected} == pytest.approx(expected, rel=1e-5)
    assert set(task.shown) == set(predicted)


def test_every_validation_starts_afresh():
    task, batches = make_task(lr=0.3), tiles(3)
    for number, (_, classes, _) in enumerate(batches):
        classes.fill_(number % 2)  # throws the network from one class to the other
    _, watch = fit(task, batches, val_every=1)
    expected, _ = validated(task.net, pictures())

    assert len(watch.logged) == 3
    assert {name: watch.logged[2][name] for name in expected} == pytest.approx(expected, rel=1e-5)
    for name in ("val/loss", "val/pixel_error"):
        assert len({row[name] for row in watch.logged}) > 1


def test_validation_loss_knows_no_weights():
    logged = [fit(make_task(lr=0.0), tiles(1, weight=weight))[1].logged[0] for weight in (None, 1.0, 50.0)]

    assert logged[0]["val/loss"] == logged[1]["val/loss"] == logged[2]["val/loss"]
    assert logged[0]["train/loss"] != pytest.approx(logged[1]["train/loss"])


def test_validation_does_not_drop_out():
    task = make_task(dropout=0.5, lr=0.0)
    _, watch = fit(task, tiles(2), val_every=1)

    assert watch.logged[0]["val/loss"] == watch.logged[1]["val/loss"]
    assert task.net.training


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_the_training_and_says_where_it_was_good(broken):
    batches = tiles(4)
    batches[2][0][0, 0, 3, 3] = broken
    task = make_task(lr=0.0125)
    task.last_good_step = 1

    with pytest.raises(TrainingError) as caught:
        fit(task, batches)

    assert "step 2 " in caught.value.what
    assert "learning rate 0.0125" in caught.value.what
    assert "last.ckpt is from step 1" in caught.value.what
    assert "optimizer.lr" in caught.value.hint


def test_a_loss_that_is_not_finite_is_found_before_a_validation_and_before_a_checkpoint(tmp_path):
    batches = tiles(2)
    batches[1][0][0, 0, 3, 3] = float("nan")
    task = make_task()
    with pytest.raises(TrainingError, match="step 1 "):
        fit(task, batches)
    assert not task.shown

    class Save(Callback):
        def on_train_batch_end(self, trainer, *_):
            if trainer.global_step == 2:
                trainer.save_checkpoint(tmp_path / "last.ckpt")

    with pytest.raises(TrainingError, match="step 1 "):
        fit(make_task(), [*batches, *tiles(2)], callbacks=[Save()])
    assert not list(tmp_path.iterdir())


def test_a_rehearsal_leaves_no_trace():
    task = make_task(dropout=0.5)
    task.net = UNet(width=3, depth=DEPTH, dropout=0.5, norm="batch")
    before, random = copy.deepcopy(task.state_dict()), torch.get_rng_state()
    task.rehearse(tiles(1)[0])

    assert all(torch.equal(value, before[name]) for name, value in task.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert all(parameter.grad is None for parameter in task.parameters())
    task.on_validation_start()
    assert task._train_sums.tolist() == [0, 0, 0]


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW])
def test_a_training_can_be_resumed_in_another_memory_order(tmp_path, kind):
    """A fused optimizer takes its state for ordered as the weights are, and would mix up their elements."""
    momentum = {"momentum": 0.9} if kind is torch.optim.SGD else {}

    def task(order):
        made = make_task(lr=0.01, order=order)
        made.double()
        made.make_optimizer = partial(kind, lr=0.01, fused=True, **momentum)
        return made

    batches = 4 * [(x.double(), classes, weights.double()) for x, classes, weights in tiles(1)]
    whole = task(torch.channels_last)
    fit(whole, batches)
    trainer, _ = fit(task(torch.channels_last), batches, max_steps=2, val_every=2)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    resumed = task(torch.contiguous_format)
    fit(resumed, batches, ckpt_path=tmp_path / "last.ckpt")

    for one, other in zip(resumed.net.parameters(), whole.net.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


class Mask(nn.Module):
    """Dropout that keeps its masks, whatever it is given."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, x):
        if not self.training:
            return x
        mask = nn.functional.dropout(torch.ones_like(x), 0.5)
        self.seen.append(mask)
        return x * mask


class Disturb(Callback):
    """Draws from torch's generator at all times."""

    def on_train_batch_start(self, *_):
        torch.rand(7)

    on_train_batch_end = on_validation_end = on_train_batch_start


def masks(*, seed=0, net_seed=0, steps=4, train=None, **options):
    task = make_task(seed=seed, net_seed=net_seed)
    task.net.dropout = Mask()
    trainer, _ = fit(task, train or tiles(steps), max_steps=steps, **options)
    return task.net.dropout.seen, trainer


def same(one, other):
    return len(one) == len(other) and all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_dropout_is_a_function_of_seed_and_step_alone(tmp_path):
    expected, _ = masks()
    other_data, _ = masks(net_seed=5, train=tiles(4, seed=9), val_every=1, callbacks=[Disturb()])
    begun, trainer = masks(steps=2)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    resumed, _ = masks(ckpt_path=tmp_path / "last.ckpt")

    assert len({mask.numpy().tobytes() for mask in expected}) == 4
    assert same(other_data, expected)
    assert same(begun, expected[:2])
    assert same(resumed, expected[2:])


@pytest.mark.parametrize("seeds", [(0, 1), (3, 4), (0, 2**32 - 1)])
def test_other_seeds_drop_out_otherwise(seeds):
    """On the CPU torch's generator takes the low 32 bits of a seed only."""
    one, other = (masks(seed=seed, steps=2)[0] for seed in seeds)

    assert not any(torch.equal(a, b) for a in one for b in other)


def test_a_schedule_moves_every_step_and_its_rate_is_logged():
    task = make_task(lr=0.8, schedule=partial(StepLR, step_size=1, gamma=0.5))
    _, watch = fit(task, tiles(4), val_every=2)

    assert watch.rates == pytest.approx([0.8, 0.4, 0.2, 0.1])
    assert [row["lr"] for row in watch.logged] == pytest.approx([0.2, 0.05])  # of the step to come


def test_a_plateau_moves_only_after_validations_that_do_not_improve():
    # A rate of zero leaves the validation loss where it was.
    plateau = partial(ReduceLROnPlateau, patience=0, factor=0.5, eps=0)
    task = make_task(lr=1e-30, schedule=plateau)
    _, watch = fit(task, tiles(6), val_every=2)

    assert watch.rates == pytest.approx([1e-30, 1e-30, 1e-30, 1e-30, 5e-31, 5e-31], rel=1e-6)


def test_the_predicted_scores_are_those_of_the_network():
    task, image = make_task(), pictures(((33, 45),))[0]
    scores = task.eval().predict_image(image.image)

    assert scores.shape == (2, 33, 45)
    torch.testing.assert_close(scores, whole_scores(task.net, image.image), rtol=0, atol=1e-5)


def test_the_network_is_called_through_the_task():
    task = make_task().eval()
    x = torch.randn(1, 1, TILE, TILE)

    assert torch.equal(task(x), task.net(x))


# --- several classes and ignored pixels ------------------------------------------------------------------------------


def make_three_class_task(**settings):
    torch.manual_seed(0)
    return SegmentationTask(
        net=UNet(width=3, depth=DEPTH, dropout=0.0, num_classes=3),
        optimizer=partial(torch.optim.SGD, lr=0.05),
        schedule=constant,
        class_names=("background", "nucleus", "cytoplasm"),
        seed=0,
        ignores=True,
        **settings,
    )


def step_on(task, batch):
    """The loss of a batch, and the gradient of the class scores."""
    seen = []
    handle = task.net.register_forward_hook(lambda module, inputs, scores: seen.append(scores))
    loss = task.training_step(batch, 0)
    handle.remove()
    return loss, torch.autograd.grad(loss, seen[0])[0], seen[0].detach()


def test_ignored_pixels_have_exactly_no_gradient_and_the_others_that_of_the_mean_over_them(monkeypatch):
    task = make_three_class_task()
    monkeypatch.setattr(SegmentationTask, "global_step", 0)
    x, _, weights = tiles(1)[0]
    classes = torch.randint(3, weights.shape, generator=torch.Generator().manual_seed(1))
    classes[:, :5], classes[1, 7:, 3] = 255, 255
    loss, gradient, scores = step_on(task, (x, classes.byte(), weights))

    known = classes != 255
    assert known.any()
    assert not gradient.movedim(1, -1)[~known].any()
    target = torch.where(known, classes, 0)
    per_pixel = -scores.log_softmax(1).gather(1, target[:, None])[:, 0]
    shares = weights[known] / weights[known].sum()
    torch.testing.assert_close(loss.detach(), (per_pixel[known] * shares).sum())
    expected = (scores.softmax(1) - torch.nn.functional.one_hot(target, 3).movedim(-1, 1)).movedim(1, -1)[known]
    torch.testing.assert_close(gradient.movedim(1, -1)[known], expected * shares[:, None])


def test_a_step_of_ignored_pixels_only_changes_nothing(monkeypatch):
    task = make_three_class_task()
    monkeypatch.setattr(SegmentationTask, "global_step", 0)
    x, classes, weights = tiles(1)[0]
    loss, gradient, _ = step_on(task, (x, torch.full_like(classes, 255).byte(), weights))

    assert loss.item() == 0
    assert not gradient.any()


def test_validation_of_three_classes_leaves_ignored_pixels_out():
    rng = np.random.default_rng(0)
    images = [
        WholeImage(one.key, one.image, rng.integers(0, 3, one.classes.shape).astype(np.uint8)) for one in pictures()
    ]
    for one in images:
        one.classes[:, :9] = 255
    task, x = make_three_class_task(), tiles(1)
    _, watch = fit(task, x, images)

    entropies, matrix = [], torch.zeros(3, 3, dtype=torch.long)
    for one in images:
        scores = whole_scores(task.net, one.image)[:, :, 9:]
        classes = torch.from_numpy(one.classes[:, 9:]).long()
        entropies.append(cross_entropy(scores[None], classes[None], reduction="none").flatten())
        matrix += torch.bincount((3 * classes + scores.argmax(0)).flatten(), minlength=9).reshape(3, 3)
    iou = iou_per_class(matrix)
    assert watch.logged[-1]["val/loss"] == pytest.approx(torch.cat(entropies).mean().item(), rel=1e-5)
    assert watch.logged[-1]["val/iou"] == pytest.approx(iou.mean().item(), rel=1e-6)
    for name, value in zip(("background", "nucleus", "cytoplasm"), iou, strict=True):
        assert watch.logged[-1][f"val/iou_{name}"] == pytest.approx(value.item(), rel=1e-6)
