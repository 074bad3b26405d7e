"""Choices that depend on the machine: waiting threads, threads, memory order, precision; what is missing is said."""

import os
import subprocess
import sys
import time

import pytest
import torch

from unet_repro import machine
from unet_repro.commands.hydra_app import compose
from unet_repro.config import check
from unet_repro.errors import ConfigError
from unet_repro.machine import check_device, faster_threads, given_threads, memory_order, use_machine

WAITING = ("GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_WAIT_POLICY")


def in_new_process(code, **environment):
    inherited = {name: value for name, value in os.environ.items() if name not in (*WAITING, *environment)}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**inherited, **environment}, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ["2000", "1"]),
        ({"GOMP_SPINCOUNT": "7"}, ["7", "1"]),
        ({"KMP_BLOCKTIME": "infinite"}, ["2000", "infinite"]),
        ({"OMP_WAIT_POLICY": "active"}, ["None", "None"]),
    ],
)
def test_waiting_threads_sleep_unless_the_user_says_otherwise(environment, expected):
    code = "import unet_repro, os; print(os.environ.get('GOMP_SPINCOUNT'), os.environ.get('KMP_BLOCKTIME'))"
    assert in_new_process(code, **environment) == expected


@pytest.mark.parametrize("name", ["unet_repro.cli", "hydra_plugins.unet_repro_launchers._local_worker"])
def test_nothing_loads_torch_before_the_setting_is_made(name):
    code = f"""
import builtins, os, sys
honest = builtins.__import__
def watched(name, *rest):
    if name == "torch" and "torch" not in sys.modules:
        assert "GOMP_SPINCOUNT" in os.environ, "torch comes first"
    return honest(name, *rest)
builtins.__import__ = watched
import {name}
"""
    in_new_process(code)


def test_these_tests_have_it_too():
    assert any(name in os.environ for name in WAITING)


@pytest.mark.parametrize("width", [8, 16, 32, 64])
def test_predictions_gpus_and_bfloat16_take_channels_last_order(width):
    last = torch.channels_last
    assert memory_order("cpu", width, training=False) == last
    assert memory_order("cuda", width, training=True) == last
    assert memory_order("cpu", width, training=True, precision="bf16-mixed") == last


@pytest.mark.parametrize(("capability", "widest"), [("AVX2", 8), ("AVX512", 32), ("SVE256", 32)])
def test_training_in_float32_takes_it_up_to_a_width(monkeypatch, capability, widest):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert memory_order("cpu", widest, training=True) == torch.channels_last
    assert memory_order("cpu", 2 * widest, training=True) == torch.contiguous_format


def test_a_limit_to_avx2_is_seen():
    code = (
        "from unet_repro.machine import instruction_set, multiplies_bf16; print(instruction_set(), multiplies_bf16())"
    )
    limits = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
    assert in_new_process(code, **limits) == ["AVX2", "False"]


@pytest.mark.parametrize(("native", "becomes"), [(True, "bf16-mixed"), (False, "32-true")])
def test_automatic_precision_is_what_the_processor_is_good_at_and_part_of_the_identity(monkeypatch, native, becomes):
    monkeypatch.setattr(machine, "multiplies_bf16", lambda device="cpu": native)
    assert check(compose("train", ["trainer.precision=auto"])) == check(
        compose("train", [f"trainer.precision={becomes}"])
    )


@pytest.mark.parametrize(
    ("text", "threads"), [(None, None), ("3", 3), ("4,2", 4), (" 2 ", 2), ("", None), ("all", None), ("0", None)]
)
def test_threads_of_the_environment(monkeypatch, text, threads):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if text is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert given_threads() == threads


@pytest.mark.parametrize("faster", [1, 3])
def test_the_faster_number_of_threads_is_found_and_left_set(monkeypatch, faster):
    monkeypatch.setattr(machine, "usable_cores", lambda: 3)
    monkeypatch.setattr(machine, "_TRIAL_S", 0.0)
    seen = []

    def step():
        seen.append(torch.get_num_threads())
        time.sleep(0.001 if seen[-1] == faster else 0.05)

    try:
        assert faster_threads(step) == faster
        assert torch.get_num_threads() == faster
        assert set(seen) == {1, 3}
    finally:
        use_machine(1)


def test_one_core_needs_no_trial(monkeypatch):
    monkeypatch.setattr(machine, "usable_cores", lambda: 1)
    assert faster_threads(lambda: pytest.fail("timed a step")) == 1


def test_fewer_gpus_than_asked_for_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    check_device("gpu", 1, compiles=False)
    with pytest.raises(ConfigError, match=r"trainer.devices=2, but torch sees 1 CUDA"):
        check_device("gpu", 2, compiles=False)


def test_a_missing_compiler_is_said_before_training(monkeypatch, tmp_path):
    check_device("cpu", 1, compiles=True)
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("CC", "CXX"):
        monkeypatch.delenv(name, raising=False)
    check_device("cpu", 1, compiles=False)
    with pytest.raises(ConfigError, match=r"trainer.compile=true needs a C compiler"):
        check_device("cpu", 1, compiles=True)
