# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Quick start in Python
#
# A trained network segments an image; then a small U-Net is trained on synthetic images, applied to an image that it
# has not seen, and examined: its tiles, the weights of its loss, and its history. Everything uses the public
# interface, `import unet_repro`; nothing is downloaded. On one core this takes about half a minute.
#
# The same as a script: `python examples/quickstart.py`. It writes the figures to `quickstart-1.png`, `-2.png`, ...

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.colors import ListedColormap
from matplotlib.patches import Rectangle

import unet_repro

DPI = 64


def show(pictures, **options):
    """Draws the same corner of pictures side by side, with their names above."""
    _, axes = plt.subplots(1, len(pictures), figsize=(2.6 * len(pictures), 2.9), layout="constrained", dpi=DPI)
    for axis, (title, picture) in zip(np.atleast_1d(axes), pictures.items(), strict=True):
        axis.imshow(picture[:160, :160], **{"cmap": "gray", "interpolation": "nearest", **options})
        axis.set_title(title, fontsize=9)
        axis.axis("off")


# %% [markdown]
# ## Images and labels
#
# `samples` reads a data set as a training does. The settings are those of the command line:
# `samples("data=folder", "data.root=mine")` reads your own images. Labels are numbered objects; 0 is the background,
# here the membranes.

# %%
DATA = ["data=synthetic", "data.num_slices=8", "data.size_px=256"]
samples = unet_repro.samples(*DATA)
print(len(samples), "samples, such as", samples[0].key, samples[0].image.shape, samples[0].image.dtype)

# %%
labels = samples[0].labels
show({"image": samples[0].image, "classes (cell, membrane)": labels > 0})
show({"labels": np.ma.masked_array(labels % 20, labels == 0)}, cmap="tab20")

# %% [markdown]
# ## A trained network, right away
#
# `load` opens a trained network: a run's folder, an exported package, or by its name a network that comes with the
# program. `em-membranes` was trained on electron-microscopy slices (ISBI 2012, credit in its card), never on
# synthetic images such as these.

# %%
trained = unet_repro.load("em-membranes")
show({"image": samples[0].image, "probability of a cell": trained.predict_proba(samples[0].image)[1]})

# %% [markdown]
# ## A tiny training
#
# A narrow network (8 channels at the first level, where the paper has 64) and 120 steps. The run is kept in
# `runs/<run_id>`: if you execute the cell again, the finished run is opened and not trained again.

# %%
network = unet_repro.train(
    *DATA,
    "model.width=8",
    "model.depth=3",
    "model.norm=batch",
    "tiles.size=252",
    "tiles.budget=1x252",
    "optimizer=adam",
    "optimizer.lr=3e-3",
    "schedule=cosine",
    "weight_map=none",
    "trainer.max_steps=120",
    "trainer.val_every=20",
    "trainer.progress=false",
    "logger=none",
    on_row=lambda row: print(f"step {row['step']:3.0f}: IoU {row['val/iou']:.3f}, loss {row['val/loss']:.3f}"),
)

# %% [markdown]
# A run that was trained before is opened with `load` too, and the rest of this page works with it as well. Its
# training images are not needed.

# %%
network = unet_repro.load(network.folder.path)
print(network.run_id, network.class_names, network.geometry)

# %% [markdown]
# ## Prediction
#
# `predict` takes grey values as stored, in any size, and returns a class for each pixel; `predict_proba` returns
# probabilities. The image is a slice of the test stack.

# %%
unseen = next(sample for sample in samples if sample.part == "test")
probability = network.predict_proba(unseen.image)[1]
truth = unseen.labels > 0
errors = np.where(truth == (probability > 0.5), 0, np.where(truth, 1, 2))
show({"image": unseen.image, "probability of a cell": probability, "ground truth": truth})
colours = ListedColormap(["#eeeeee", "#e69f00", "#0072b2"])
show({"missed (orange), false (blue)": errors}, cmap=colours, vmin=0, vmax=2)

# %% [markdown]
# The measures of the ISBI 2012 challenge compare objects, not pixels: V_rand is 1 if every pair of pixels is together
# or apart as in the ground truth. It is the best over thresholds.

# %%
isbi = unet_repro.ISBIMeasures(warping=False)
isbi.update(torch.from_numpy(probability), torch.from_numpy(unseen.labels))
print({name: round(float(value), 3) for name, value in isbi.compute().items() if name in ("v_rand", "v_info")})

# %% [markdown]
# ## Legal tiles
#
# The convolutions are not padded, so the output is smaller than the input: for the paper's network 572 pixels become
# 388. And since each pooling halves the image, only some sizes are possible.

# %%
print("572 ->", unet_repro.output_size(572), "pixels; lost on each side:", unet_repro.halo())
print("512 is legal:", unet_repro.is_legal(512), "- the nearest are", unet_repro.nearest_legal(512))
print("the smallest tile whose output covers 512 pixels:", unet_repro.covering(512))

# %% [markdown]
# ## Overlap-tiles
#
# An image of any size is predicted tile by tile (figure 2 of the paper). To predict the yellow square the network
# needs the blue one; beyond the border the image is mirrored.

# %%
geometry = network.geometry
height, width = unseen.image.shape
small = unet_repro.plan_tiles((height, width), geometry, max_tile_pixels=180 * 180)
large = unet_repro.plan_tiles((height, width), geometry)
print(len(small.offsets), "tiles of", small.tile_hw, "or", len(large.offsets), "of", large.tile_hw)

halo = geometry.halo_px
figure, axis = plt.subplots(figsize=(4.2, 4.2), layout="constrained", dpi=DPI)
mirrored = np.pad(unseen.image, halo, mode="reflect")
axis.imshow(mirrored, cmap="gray", extent=(-halo, width + halo, height + halo, -halo))
axis.add_patch(Rectangle((0, 0), width, height, fill=False, color="white", linestyle=":"))
top, left = small.offsets[0]
outputs = [size - 2 * halo for size in small.tile_hw]
frame = {"fill": False, "linewidth": 2}
axis.add_patch(Rectangle((left - halo, top - halo), *small.tile_hw[::-1], color="deepskyblue", **frame))
axis.add_patch(Rectangle((left, top), *outputs[::-1], color="gold", **frame))
axis.set_title("one tile: input (blue), output (yellow)", fontsize=9)
_ = axis.axis("off")

# %% [markdown]
# The stitched prediction does not depend on the tiles, because they begin at multiples of the network's step. On the
# CPU the two results are equal to the last bit, or differ by rounding if torch uses other kernels for small images.

# %%
image = network.normalisation.apply(unseen.image)
stitched = unet_repro.predict(network.net, image, small)
whole = unet_repro.predict(network.net, image, large)
print("largest difference of a score:", float((stitched - whole).abs().max()))

# %% [markdown]
# ## Weight maps
#
# Equation 2 of the paper gives more weight to the background between two close objects, so that the network learns to
# separate them. The other maps are what the comparison `experiment=weight_map` tests it against.

# %%
maps = ("class_balance", "paper", "morphological")
show({name: getattr(unet_repro.weight_maps, name)(labels) for name in maps}, cmap="magma", vmin=0, vmax=12)

# %% [markdown]
# ## Elastic deformation
#
# Image and labels are deformed together, by smooth random displacements (section 3.1 of the paper).

# %%
lines = np.zeros_like(unseen.image)
lines[::16], lines[:, ::16] = 255, 255
show({name: unet_repro.elastic_deformation(picture, seed=1) for name, picture in
      {"image": unseen.image, "classes": (unseen.labels > 0).astype(np.uint8), "grid": lines}.items()})  # fmt: skip

# %% [markdown]
# ## The history of a run
#
# `history.csv` in the run's folder has a row for each validation. `curves` reads its columns.

# %%
curves = network.folder.curves()
figure, (left_axis, right_axis) = plt.subplots(1, 2, figsize=(7, 2.6), layout="constrained", dpi=DPI)
left_axis.plot(curves["step"], curves["train/loss"], label="training")
left_axis.plot(curves["step"], curves["val/loss"], label="validation")
left_axis.set(xlabel="step", ylabel="loss")
left_axis.legend()
right_axis.plot(curves["step"], curves["val/iou"], color="tab:green")
_ = right_axis.set(xlabel="step", ylabel="mean IoU, validation")

# %% [markdown]
# Files of the run, and how long it took:

# %%
print(sorted(path.name for path in network.folder.path.iterdir()))
print(round(network.folder.outcome()["seconds"]), "s")

# %%
# As a script: the figures as files. In a notebook they have been shown, and none is left.
for number in plt.get_fignums():
    plt.figure(number).savefig(f"quickstart-{number}.png")
