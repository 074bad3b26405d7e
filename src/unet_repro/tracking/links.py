"""Links to the offline runs of a folder in one place, where W&B's own commands find all of them: ``runs/wandb``."""

import re
import sys
from pathlib import Path

_MAX_LETTERS = 100  # of a name


def link_offline_run(path: Path, *, run_id: str, name: str) -> None:
    """Links an offline run's folder as ``wandb/offline-run-<name>-<run_id>`` beside the run's folder.

    Replaces earlier links of the run. Where links are not possible, the run is complete without, and a line says so.

    Args:
        path: Its .wandb file, ``<runs>/<run>/wandb/offline-run-.../run-....wandb``.
        run_id: The run's identity.
        name: Its name, which ``wandb leet`` then lists.
    """
    found, folder = path.parent, path.parents[3] / "wandb"
    target = Path("..") / found.relative_to(path.parents[3])
    words = re.sub(r"[^\w.=+]+", "-", name)[:_MAX_LETTERS].strip("-")
    link = folder / f"offline-run-{words}-{run_id}"
    try:
        folder.mkdir(exist_ok=True)
        for earlier in folder.glob(f"offline-run-*-{run_id}"):
            if earlier.is_symlink() and (earlier.name != link.name or earlier.readlink() != target):
                earlier.unlink()
        if not link.is_symlink():
            link.symlink_to(target, target_is_directory=True)
    except OSError as error:
        sys.stderr.write(f"note: {link} cannot be created ({error.strerror}); `wandb leet {found}` shows the run\n")
