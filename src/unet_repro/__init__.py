"""The 2015 U-Net, reproduced exactly, and its claims put on trial."""

__version__ = "0.1.0"
