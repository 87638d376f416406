"""Mine hard negatives that are really negative, for training text-retrieval models.

Names are loaded when they are first used, so that `import hardneg` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hardneg.api import Mined, audit, check, convert, load, mine, open_run, trial
    from hardneg.config import Config
    from hardneg.errors import (
        HardnegError,
        HardnegWarning,
        InputError,
        MissingExtraError,
        ModelError,
        StoreError,
        UsageError,
    )
    from hardneg.recipes import RECIPES
    from hardneg.records import Collection

__all__ = [
    "RECIPES",
    "Collection",
    "Config",
    "HardnegError",
    "HardnegWarning",
    "InputError",
    "Mined",
    "MissingExtraError",
    "ModelError",
    "StoreError",
    "UsageError",
    "audit",
    "check",
    "convert",
    "load",
    "mine",
    "open_run",
    "trial",
]

_HOME = {
    "RECIPES": "recipes",
    "Collection": "records",
    "Config": "config",
    "Mined": "api",
    "audit": "api",
    "check": "api",
    "convert": "api",
    "load": "api",
    "mine": "api",
    "open_run": "api",
    "trial": "api",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'hardneg' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"hardneg.{_HOME.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
