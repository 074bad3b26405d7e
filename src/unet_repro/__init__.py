"""The 2015 U-Net, reproduced exactly, and its claims put on trial."""

import os

__version__ = "0.1.0"

# OpenMP's threads spin while they wait, which takes the cores from whatever else runs: a training beside one busy
# process became three times slower. They sleep after a short spin instead. It must be said before torch, or anything
# else that loads OpenMP (GNU's, Intel's or LLVM's), is imported; a setting of the user's own is kept.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    os.environ.setdefault("KMP_BLOCKTIME", "1")  # milliseconds
