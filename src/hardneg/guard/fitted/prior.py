"""The weights that are shipped: fitted on judged collections, none of whose text is here."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

from hardneg.guard.fitted.regression import Weights


@cache
def shipped_weights() -> tuple[Weights, Weights]:
    """Those of the first opinion, over features.FIRST, and those of the whole, over features.COLUMNS."""
    found = json.loads(files("hardneg.guard.fitted").joinpath("prior.json").read_text("utf-8"))
    return Weights.from_dict(found["first"]), Weights.from_dict(found["whole"])
