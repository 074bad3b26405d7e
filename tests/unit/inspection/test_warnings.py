import numpy as np
from made import sample

from unet_repro.data.splits import Split
from unet_repro.inspection.facts import facts_of
from unet_repro.inspection.warnings import near_pairs, warnings_of
from unet_repro.training.build import Data


def data(samples, train, val):
    return Data("folder", ("background", "cell"), samples, split=Split(train, val, ()), manifest={"digest": ""})


def smooth(key, seed):
    """An image of large blots, which a thumbnail shows."""
    one = sample(key)
    blots = np.random.default_rng(seed).integers(0, 200, (8, 8)).repeat(20, axis=0).repeat(20, axis=1)
    object.__setattr__(one, "image", blots.astype(np.uint8))
    return one


def test_nearly_identical_images_on_both_sides_of_the_split_are_named():
    samples = [smooth("a", 0), smooth("b", 1), smooth("c", 0)]
    noisy = samples[2].image + np.random.default_rng(5).integers(0, 20, (160, 160)).astype(np.uint8)
    object.__setattr__(samples[2], "image", noisy)
    split = data(samples, ("a", "b"), ("c",))
    ((train, other, alike),) = near_pairs(split, split.split)
    assert (train, other) == ("a", "c")
    assert 0.95 < alike < 1
    assert any("1 of 1 images" in each and "a and c" in each for each in warnings_of(facts_of(samples), split))
    apart = data(samples, ("a", "c"), ("b",))
    assert near_pairs(apart, apart.split) == []


def test_few_images_are_warned_of_below_ten():
    few, enough = ([smooth(str(number), number) for number in range(many)] for many in (9, 10))
    (warning,) = warnings_of(facts_of(few), None)
    assert "9 labelled images are few (below 10)" in warning
    assert "split.fold=0,1,2,3,4" in warning
    assert warnings_of(facts_of(enough), None) == []
    (single,) = warnings_of(facts_of(few[:1]), None)
    assert "1 labelled image is few" in single
    assert "kfold" not in single


def test_equal_images_and_images_without_objects_or_labels_are_warned_of():
    empty = sample("empty", seed=1)
    object.__setattr__(empty, "labels", np.zeros((160, 160), np.int32))
    found = "\n".join(
        warnings_of(facts_of([sample("a"), sample("b"), empty, sample("bare", labelled=False, seed=2)]), None)
    )
    assert "2 images are identical: a, b" in found
    assert "1 labelled image without any object: empty" in found
    assert "1 image without labels, not trained on: bare" in found


def test_labels_of_which_the_background_is_an_object_are_warned_of():
    inverted = [sample(name, seed=seed) for seed, name in enumerate("abc")]
    for one in inverted[:2]:
        around = np.ones((160, 160), np.int32)
        around[40:60, 50:90] = around[100:130, 20:40] = 0
        object.__setattr__(one, "labels", around)
    object.__setattr__(inverted[2], "labels", np.ones((160, 160), np.int32))
    found = "\n".join(warnings_of(facts_of(inverted), None))
    assert "in 2 of 3 labelled images one object surrounds all others" in found
    assert "1 labelled image without any background: c" in found
    assert "surrounds" not in "\n".join(warnings_of(facts_of([sample("a"), sample("b", seed=1)]), None))


def test_a_few_inverted_labels_among_others_are_warned_of():
    samples = [sample(name, seed=seed) for seed, name in enumerate("abcd")]
    around = np.ones((160, 160), np.int32)
    around[40:60, 50:90] = around[100:130, 20:40] = 0
    object.__setattr__(samples[1], "labels", around)
    assert "in 1 of 4 labelled images one object surrounds" in "\n".join(warnings_of(facts_of(samples), None))


def test_a_mask_that_is_the_inverse_of_the_others_is_warned_of_by_the_contrast():
    samples = [sample(name, seed=seed) for seed, name in enumerate("abcd")]
    for one in samples:
        object.__setattr__(one, "image", one.image // 4 + np.uint8(80) * (one.labels > 0))
    assert "inverted" not in "\n".join(warnings_of(facts_of(samples), None))
    assert min(facts_of(samples).contrast) > 0.5
    object.__setattr__(samples[2], "labels", (samples[2].labels == 0).astype(np.int32))
    found = "\n".join(warnings_of(facts_of(samples), None))
    assert "in 1 of 4 labelled images the objects are darker than the rest of the image" in found
    assert found.split("neither mask nor image is inverted: ")[1].startswith("c")
    assert facts_of([sample("a", labelled=False), *samples]).contrast == facts_of(samples).contrast


def test_an_image_that_is_much_smaller_than_the_others_is_named():
    samples = [*(sample(name, seed=seed) for seed, name in enumerate("abc")), sample("tiny", width=48)]
    found = "\n".join(warnings_of(facts_of(samples), None))
    assert "tiny has a side of 48 pixels, most images have 160 x 160" in found
    assert "a side of" not in "\n".join(warnings_of(facts_of(samples[:3]), None))


def test_numbers_of_objects_may_be_large():
    one = sample("a")
    object.__setattr__(one, "labels", np.where(one.labels > 0, one.labels + 2_000_000_000, 0).astype(np.int32))
    assert facts_of([one]).inverted == ()


def test_parts_without_any_object_are_warned_of():
    samples = [sample(name, seed=seed) for seed, name in enumerate("abc")]
    object.__setattr__(samples[2], "labels", np.zeros((160, 160), np.int32))
    facts = facts_of(samples)
    assert "no image that validates has an object" in "\n".join(warnings_of(facts, data(samples, ("a", "b"), ("c",))))
    assert "no image that trains has an object" in "\n".join(warnings_of(facts, data(samples, ("c",), ("a", "b"))))
    assert "has an object" not in "\n".join(warnings_of(facts, data(samples, ("a", "c"), ("b",))))
