"""Errors that a user can fix: what is wrong, where, and how to fix it."""


class UserError(Exception):
    """A mistake in the input, the configuration or the environment, not in the program.

    Errors about values are also ``ValueError``s. The command line prints any of them without a traceback (unless
    ``--debug``) and exits with status 2.

    Args:
        what: One sentence: what is wrong, with the offending value and where it was found.
        hint: How to fix it.

    >>> print(UserError("tile size 512 is not legal", hint="use 508 or 524"))
    tile size 512 is not legal
      hint: use 508 or 524
    """

    def __init__(self, what: str, *, hint: str) -> None:
        super().__init__(what, hint)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.what}\n  hint: {self.hint}"

    def __reduce__(self) -> tuple[object, ...]:
        """Pickles the constructor's arguments, so that a worker process can return it."""
        return _rebuild, (type(self), self.what, self.hint)


def _rebuild(kind: type[UserError], what: str, hint: str) -> UserError:
    return kind(what, hint=hint)


def install_extra(name: str) -> str:
    """The command that installs the packages of an extra, for hints.

    It names the packages, so that it works from a checkout and from a wheel: this package is not on an index yet.

    >>> install_extra("trackio")
    "pip install 'trackio>=0.43'"
    """
    import tomllib  # noqa: PLC0415  (only hints need them)
    from importlib.metadata import requires  # noqa: PLC0415
    from pathlib import Path  # noqa: PLC0415

    project = Path(__file__).parents[2] / "pyproject.toml"  # of a checkout
    if project.is_file():
        wanted = tomllib.loads(project.read_text())["project"]["optional-dependencies"][name]
    else:
        lines = (line.partition(";") for line in requires("unet-repro") or ())
        wanted = [package.strip() for package, _, marker in lines if f'extra == "{name}"' in marker.replace("'", '"')]
    return f"pip install {' '.join(repr(package) for package in wanted)}"


class ConfigError(UserError, ValueError):
    """A key or value of the configuration that is unknown, missing or of the wrong type."""


class DataError(UserError, ValueError):
    """Files that are missing, unreadable, unpaired or invalid."""


class GeometryError(UserError, ValueError):
    """A tile size that unpadded convolutions cannot process."""


class TrainingError(UserError):
    """A training that cannot continue: a non-finite loss, a checkpoint of another network."""


class RunError(UserError):
    """A run's folder that is missing, unfinished, changed or locked by another process."""


class RunHeld(RunError):
    """A run that another live process is training; the caller waits or takes another run."""


class Abandoned(Exception):
    """The caller has abandoned a training: its run keeps its state, and has not failed."""


class Submitted(Exception):
    """The jobs of a sweep are in a scheduler's queue, and nobody waits for them. Its text says what to do next."""


class Stopped(BaseException):
    """A signal has stopped the training, and its checkpoint is written. Not an ``Exception``: nothing may catch it."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


class SweepFailed(SystemExit):
    """Some runs of a sweep failed; the others are done. Its text lists the failures; the exit status is 1."""


class PredictionsFailed(SystemExit):
    """Some images could not be predicted; the others are done. Its text lists the failures; the exit status is 1."""
