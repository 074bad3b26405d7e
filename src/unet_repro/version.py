"""The version of the installed distribution, which its build takes from the release's tag."""

from importlib import metadata

try:
    VERSION = metadata.version("unet-repro")
except metadata.PackageNotFoundError:  # imported from a folder and not installed
    VERSION = "0+unknown"
