"""The one place where FAISS is imported."""

from __future__ import annotations

import os
import sys
from typing import Any


def faiss() -> Any:
    """The module. On macOS its OpenMP and torch's lie in one process, and the second one loaded ends it.

    The OpenMP runtime looks at this variable when it is loaded; FAISS is then kept to one OpenMP thread,
    since two runtimes with pools of threads are what crashes (its matrix products run in Accelerate, which
    has threads of its own). Nowhere else is anything set.
    """
    if sys.platform == "darwin":
        os.environ.setdefault("KMP_DUPLICATE_LIB_OK", "TRUE")
    import faiss as module

    if sys.platform == "darwin":
        module.omp_set_num_threads(1)
    return module
