"""Links to the offline runs of a folder in one place, where W&B's own commands find all of them: ``runs/wandb``."""

import sys
from pathlib import Path


def link_offline_run(path: Path) -> None:
    """Links an offline run's folder in ``wandb`` beside the run's folder, under its own name, which W&B expects.

    Removes earlier links of the run. Where links are not possible, the run is complete without, and a line says so.

    Args:
        path: Its .wandb file, ``<runs>/<run>/wandb/offline-run-<time>-<id>/run-<id>.wandb``.
    """
    found, runs_dir = path.parent, path.parents[3]
    link, target = runs_dir / "wandb" / found.name, Path("..") / found.relative_to(runs_dir)
    try:
        link.parent.mkdir(exist_ok=True)
        for earlier in link.parent.glob(f"offline-run-*-{found.name.rpartition('-')[2]}"):
            if earlier.is_symlink() and (earlier.name != link.name or earlier.readlink() != target):
                earlier.unlink()
        if not link.is_symlink():
            link.symlink_to(target, target_is_directory=True)
    except OSError as error:
        sys.stderr.write(f"note: {link} cannot be created ({error.strerror}); `wandb leet {found}` shows the run\n")
