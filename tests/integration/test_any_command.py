"""Whatever is typed, and whatever is in the files: a command works, or ends with one error that says how to mend it."""

import contextlib
import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny import NETWORK, tiny

from unet_repro import conf_files
from unet_repro.cli import main
from unet_repro.commands.verbs import VERBS
from unet_repro.train import train

# What users must never see: a traceback, or a library's own words for their mistake.
FOREIGN = re.compile(
    r"Traceback|pydantic|omegaconf|Error executing job|HYDRA_FULL|validation error|usage:|state_dict|Missing key|"
    r"no viable|mismatched input|in struct|full_key|Input should|StorePath|PytorchStream",
    re.IGNORECASE,
)
VALUES = [
    "", "null", "x", "-1", "0", "1.5", "nan", "inf", "[]", "{}", "[1,2", "'a", '"', "${x}", "${", "${oc.env:NOPE}",
    "true", "a=b", "~", "é", "%", "???", "[a,b]", "{a:1}", "[[1]]", "#", "\\", "a(b)", "[null]", "*", "a b", "a: b",
]  # fmt: skip
LOOSE = [
    "~data.root", "+a=1", "++a.b=c", "=", "data.root", "--", "-", "--x=y", "-c", "--info", "--cfg", "run=[]", "seed=-1",
    "data.labels=classes", "data.ignore=1", "data.channels=[1]", "data.series=3", "data.classes=[a,b,c]",
    "kind=instances", "format=png", "instances.threshold=2", "views=3", "memory_gb=-1", "threads=0", "channels=red",
    "part=foo",
    "checkpoint=foo", "optimizer=[]", "split=within", "comparison=foo", "model=null",
]  # fmt: skip
# Settings of which other values may train for hours, or write elsewhere.
BOUNDED = {"trainer.max_steps", "trainer.val_every", "hydra.run.dir"}
PARTS = ["config.yaml", "network.json", "best.ckpt", "result.json", "manifest.json", "images/0.png", "labels/0.png"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a run and the images that it was trained on, in which commands run."""
    folder = tmp_path_factory.mktemp("any")
    for part in ("images", "labels"):
        (folder / "mine" / part).mkdir(parents=True)
    for number in range(4):
        rng = np.random.default_rng(number)
        labels = np.kron(rng.integers(0, 2, (6, 6)), np.ones((16, 16), np.uint8)).astype(np.uint8)
        cv2.imwrite(str(folder / f"mine/images/{number}.png"), (60 + 90 * labels + rng.integers(0, 30, labels.shape)))
        cv2.imwrite(str(folder / f"mine/labels/{number}.png"), 255 * labels)
    result = train(tiny(folder / "runs", "trainer.max_steps=2", data=["data=folder", f"data.root={folder / 'mine'}"]))
    (folder / "runs" / result["run_id"]).rename(folder / "run")
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.delenv("UNET_REPRO_DATA", raising=False)
        yield folder


ARGUMENTS = {
    "predict": ["run=run", "input=mine/images", "output=out"],
    "evaluate": ["run=run", "data.root=mine", "warping=false"],
    "export": ["run=run", "output=e.onnx"],
    "train": ["data=folder", "data.root=mine", *NETWORK, "trainer.max_steps=2"],
    "inspect": ["data=folder", "data.root=mine", "--no-timing", "--images", "1"],
    "weights": ["data=folder", "data.root=mine"],
    "tiles": ["84", "--depth", "2"],
    "runs": ["."],
    "sweep-status": [],
}


def keys_of(verb: str) -> list[str]:
    config = VERBS[verb].config or "train"
    return [key for key in (*conf_files.composed(config, {}), *conf_files.chosen(config, {})) if key not in BOUNDED]


@st.composite
def commands(draw: st.DrawFn) -> tuple[list[str], tuple[str, str, float] | None]:
    """A verb with arguments, of which some are wrong; and a file to damage: which, how, where."""
    verb = draw(st.sampled_from(list(ARGUMENTS)))
    arguments = list(ARGUMENTS[verb])
    for _ in range(draw(st.integers(0, 2))):
        plus, key, value = (st.sampled_from(each) for each in (["", "", "+", "++"], keys_of(verb), VALUES))
        one = draw(st.builds("{}{}={}".format, plus, key, value) | st.sampled_from(LOOSE))
        arguments.insert(draw(st.integers(0, len(arguments))), one)
    if verb in ("predict", "evaluate", "export") and draw(st.booleans()):
        arguments.pop(draw(st.integers(0, len(arguments) - 1)))
    damage = st.tuples(
        st.sampled_from(PARTS), st.sampled_from(["cut", "empty", "junk", "list", "null", "gone", "folder", "flip"]),
        st.floats(0, 1, exclude_max=True),
    )  # fmt: skip
    return [verb, *arguments], draw(st.none() | damage)


def damaged(path: Path, how: str, where: float) -> None:
    content = path.read_bytes()
    at = int(where * len(content))
    path.unlink()
    if how == "folder":
        path.mkdir()
    elif how != "gone":
        flipped = bytes([content[at] ^ 4])
        path.write_bytes(
            {"cut": content[:at], "empty": b"", "junk": b"junk: [1, 2", "list": b"[1, 2]", "null": b"null"}.get(
                how, content[:at] + flipped + content[at + 1 :]
            )
        )


def said_by(arguments: list[str]) -> tuple[object, str]:
    """The exit status of a command, and what it wrote to standard error."""
    errors, status = io.StringIO(), None
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        try:
            main(arguments)
        except SystemExit as end:
            status = end.code
    return status, errors.getvalue() + (status if isinstance(status, str) else "")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(command=commands())
def test_every_command_works_or_ends_with_one_error(
    place: Path, command: tuple[list[str], tuple[str, str, float] | None]
):
    arguments, damage = command
    for name in ("run", "mine"):
        if not (place / f"{name}.kept").exists():
            shutil.copytree(place / name, place / f"{name}.kept")
        shutil.rmtree(place / name)
        shutil.copytree(place / f"{name}.kept", place / name)
    for left in ("out", "e.onnx"):
        shutil.rmtree(place / left, ignore_errors=True)
        (place / left).unlink(missing_ok=True)
    if damage is not None:
        part, how, where = damage
        damaged(place / ("mine" if "/" in part else "run") / part, how, where)
    status, said = said_by(arguments)
    assert not FOREIGN.search(said), said
    if status == 2:
        assert said.count("error:") == 1, said
        assert said.count("hint:") == 1, said
    elif isinstance(status, str):  # some images, or runs, failed, and are listed
        assert "failed" in said, said
        assert "hint:" in said, said
    else:
        assert status in (None, 0), said
