"""The exported page is complete, carries the run's settings, and cannot be broken by names."""

import json
import re
import subprocess

import pytest
import torch
from page_scripts import NODE, needs_node
from torch import nn
from trained import random_run

from unet_repro.errors import ConfigError, RunError
from unet_repro.export import html
from unet_repro.export.html import PAGE, WORKER, describe, export_html, joined, most_tile_pixels, render
from unet_repro.export.npm import GEOTIFF, ONNX_RUNTIME
from unet_repro.inference.instance_settings import InstanceSettings
from unet_repro.runs.network import describe_network, open_network
from unet_repro.runs.object_settings import write_choice

PARTS = {"wasm": b"w", "loader": b"l", "runtime": b"r", "tiff": b"t"}
LICENCE = "The licence <of> it"
HOSTILE = "</script><b>&"


@pytest.fixture
def network(tmp_path):
    return open_network(random_run(tmp_path / "run"))


def model_of(page):
    return json.loads(re.search(r'<script type="application/json" id="model">(.*?)</script>', page)[1])


def test_the_page_is_complete(network):
    page = render(network, {"weights": b"weights", **PARTS}, LICENCE, "best")
    assert not re.search(r"<!--|/\* (styles|scripts|worker|model) \*/", page)
    assert "connect-src" not in page.split("</head>")[0], "nothing is allowed beside default-src 'none'"
    assert "default-src 'none'" in page
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    assert f"{ONNX_RUNTIME.name} {ONNX_RUNTIME.version}" in page
    assert GEOTIFF.version in page
    assert "The licence &lt;of&gt; it" in page
    assert [page.count(f'id="{part}"') for part in ("weights", "wasm", "loader", "runtime", "tiff")] == [1] * 5


def test_the_page_is_named_after_classes_and_data(network):
    page = render(network, PARTS, LICENCE, "best")
    assert "<title>U-Net for “cell”</title>" in page
    (network.folder.path / "result.json").write_text(
        json.dumps({"data": "isbi2012", "best": {"step": 5, "val/iou": 0.75}, "steps": 8, "seed": 0})
    )
    page = render(network, PARTS, LICENCE, "best")
    assert "<title>U-Net for “cell”, trained on isbi2012</title>" in page
    lead = page.split('<p class="lead">')[1].split("</p>")[0]
    assert "Mean IoU 0.75" in lead
    assert "non-commercial" in lead


def test_names_of_classes_cannot_leave_their_place(network):
    describe_network(network.folder, network.normalisation, ("background", HOSTILE))
    page = render(open_network(network.folder.path), PARTS, LICENCE, "best")
    assert "<b>" not in page
    assert model_of(page)["classes"][1] == HOSTILE


def test_the_settings_that_evaluation_chose_are_used(network):
    page = render(network, PARTS, LICENCE, "best")
    assert model_of(page)["settings"] == {"threshold": 0.5, "minSize": 0}
    assert "was not evaluated" in page
    write_choice(network.folder, "best", InstanceSettings(0.7, "watershed", min_size_px=50), num_images=3)
    page = render(network, PARTS, LICENCE, "best")
    assert model_of(page)["settings"] == {"threshold": 0.7, "minSize": 50}
    assert "does not separate them" in page.replace("\n", " ")
    assert "was not evaluated" in render(network, PARTS, LICENCE, "last")


def test_the_model_names_what_the_scripts_need(network):
    described = describe(network, InstanceSettings())
    assert described["geometry"] == {"smallest_px": 44, "step_px": 4, "halo_px": 20}
    assert (described["mean"], described["std"], described["channels"]) == ([128.0], [60.0], None)


def test_tiles_fit_the_memory_of_webassembly_and_are_those_of_python_if_the_result_depends_on_them(tmp_path):
    def limit(name, *overrides):
        return most_tile_pixels(open_network(random_run(tmp_path / name, *overrides)))

    assert limit("narrow", "model.width=16", "model.depth=4") == 1_000_000
    assert 300_000 < limit("wide", "model.width=96", "model.depth=4") < 1_000_000
    assert limit("instance", "model.width=16", "model.depth=3", "model.norm=instance") > 3_500_000


@pytest.mark.parametrize("override", ["target=distance", "data.scale=0.5"])
def test_what_a_page_does_not_support_is_refused_before_any_package_is_brought(override, tmp_path):
    run = random_run(tmp_path / "run", override, num_outputs=3 if override.startswith("target") else 2)
    with pytest.raises(ConfigError, match=f"{override.partition('=')[0]}, which a page does not support"):
        export_html(open_network(run), tmp_path / "model.html", packages=tmp_path / "none")


@pytest.mark.parametrize("names", [WORKER, PAGE])
@needs_node
def test_the_scripts_are_joined_into_one_without_clashing_names(names, tmp_path):
    script = joined(names)
    assert not re.search(r"^(import|export) ", script, re.MULTILINE)
    assert "</script" not in script
    declared = re.findall(r"^(?:async )?(?:const|let|function) (\w+)", script, re.MULTILINE)
    assert sorted(set(declared)) == sorted(declared)
    (tmp_path / "joined.mjs").write_text(script)
    subprocess.run([NODE, "--check", tmp_path / "joined.mjs"], check=True)


class Unsupported(nn.Module):
    """A network with an operation that ONNX does not have."""

    def __init__(self, net):
        super().__init__()
        self.net, self.tile_geometry = net, net.tile_geometry

    def forward(self, x):
        return torch.special.airy_ai(self.net(x))


@pytest.mark.slow
def test_a_network_that_onnx_cannot_express_is_named(network, tmp_path, monkeypatch):
    pytest.importorskip("onnxscript")
    object.__setattr__(network, "net", Unsupported(network.net).eval())
    monkeypatch.setattr(html, "read_runtime", lambda folder: (PARTS, LICENCE))
    with pytest.raises(RunError, match=r"Unsupported of run run cannot be exported as ONNX"):
        html.export_html(network, tmp_path / "model.html")
    assert not (tmp_path / "model.html").exists()
