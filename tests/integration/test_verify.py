"""`unet-repro verify`: a run of a record, trained again, and a record that is not what its files say."""

from dataclasses import replace

import pytest
import torch
from tiny import NETWORK, STACK, tiny

from unet_repro.commands import verify
from unet_repro.errors import ConfigError, DataError, RunError
from unet_repro.evaluation.evaluations import evaluate
from unet_repro.report.publish import BEGIN, END, Published
from unet_repro.report.record import RecordOfScale
from unet_repro.runs.folder import RunFolder
from unet_repro.runs.ledger import Entry
from unet_repro.train import train
from unet_repro.trial.run_record import record_of

DATA = STACK[1:]  # the source itself is named in the record


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    """The record of a tiny run."""
    folder = tmp_path_factory.mktemp("runs")
    result = train(tiny(folder, "scale=smoke", *NETWORK))
    run = RunFolder(folder / result["run_id"])
    evaluate(run.path, ("scores",))
    entry = Entry("rotations", "base", 0, "smoke", "synthetic", "", result["run_id"], (), 1.0, "k")
    found = record_of(run, [entry])
    assert found is not None
    return found


@pytest.fixture
def checkout(record, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("README.md", "experiments/README.md"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{BEGIN}\n{END}\n")
    publish(tmp_path, record)
    return tmp_path


def publish(checkout, record):
    folder = checkout / "experiments/record/smoke"
    for path in folder.glob("*.gz"):
        path.unlink()
    RecordOfScale(folder).add([record])
    Published(checkout).write()


def test_a_run_trained_again_is_identical(checkout, record, capsys):
    verify.main(["--checkout", str(checkout), "--seed", "3", *DATA])
    shown = capsys.readouterr().out
    assert "agree with the record of 1 runs" in shown
    assert f"training run {record.run_id} again (--seed 3): rotations: base; seed 0, scale smoke" in shown
    assert "identical to the record, bit for bit" in shown
    weights = RunFolder(verify.RUNS_DIR / record.run_id).last
    before = weights.stat().st_mtime_ns
    verify.main(["--checkout", str(checkout), "--run", record.run_id, *DATA])
    assert weights.stat().st_mtime_ns > before  # trained, not compared with the first check


def test_a_scale_that_the_record_lacks_is_named(checkout):
    with pytest.raises(RunError, match="the record has no scale 'paper'") as caught:
        verify.main(["--checkout", str(checkout), "--scale", "paper"])
    assert "use smoke" in caught.value.hint


def test_the_smallest_scale_is_trained_unless_another_is_named(checkout, record, capsys):
    large = replace(record, run_id="f" * 12, scale="paper")
    RecordOfScale(checkout / "experiments/record/paper").add([large])
    Published(checkout).write()
    verify.main(["--checkout", str(checkout), *DATA])
    assert f"training run {record.run_id} again" in capsys.readouterr().out


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_run_of_a_gpu_is_trained_on_a_gpu_unless_the_user_says_otherwise(checkout, record, capsys):
    publish(checkout, replace(record, outcome={**record.outcome, "device": "NVIDIA H200"}))
    with pytest.raises(ConfigError, match="CUDA GPUs"):
        verify.main(["--checkout", str(checkout), *DATA])
    verify.main(["--checkout", str(checkout), *DATA, "trainer.accelerator=cpu"])
    assert "identical to the record" in capsys.readouterr().out


def test_a_run_that_differs_is_an_error(checkout, record):
    curve = {**record.curve, "val/loss": [value + 0.001 for value in record.curve["val/loss"]]}
    publish(checkout, replace(record, curve=curve))
    with pytest.raises(DataError, match="differs from the record.*of the same kind"):
        verify.main(["--checkout", str(checkout), "--run", record.run_id, *DATA])


def test_another_processor_need_not_give_the_same_bits(checkout, record, capsys):
    curve = {**record.curve, "val/loss": [value + 0.001 for value in record.curve["val/loss"]]}
    publish(checkout, replace(record, curve=curve, outcome={**record.outcome, "instruction_set": "other"}))
    verify.main(["--checkout", str(checkout), "--run", record.run_id, *DATA])
    assert "not bit for bit, since instruction_set: other in the record" in capsys.readouterr().out


def test_other_data_are_named_as_the_reason(checkout, record):
    with pytest.raises(DataError, match=f"not {record.run_id}: .*other data or settings"):
        verify.main(["--checkout", str(checkout), "--run", record.run_id, *DATA, "data.seed=5"])


def test_a_readme_that_disagrees_is_named(checkout):
    readme = checkout / "README.md"
    readme.write_text(readme.read_text().replace(BEGIN, f"{BEGIN}\nC1 is supported."))
    with pytest.raises(DataError, match=r"README\.md do not agree with the record") as caught:
        verify.main(["--checkout", str(checkout), "--skip-training"])
    assert "unet-repro report --record" in caught.value.hint
