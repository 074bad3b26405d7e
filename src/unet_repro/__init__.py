"""An exact reproduction of the 2015 U-Net, with statistical tests of its claims."""

import os

__version__ = "0.1.0"

# OpenMP threads spin while they wait and take the cores from other processes: a training beside one busy process became
# three times slower. With these settings they sleep after a short spin. They must be set before torch, or anything
# else that loads OpenMP (GNU's, Intel's or LLVM's), is imported; the user's own settings take precedence.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    os.environ.setdefault("KMP_BLOCKTIME", "1")  # milliseconds
