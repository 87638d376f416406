"""What a file of suspects holds, for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hardneg.terminal import printable


def suspects_summary(table: pa.Table, path: Path, labels: Sequence[str] = ()) -> dict[str, Any]:
    """JSON values of records.SUSPECTS; `labels` are the files that the selection was made with."""
    strata = table["stratum"].to_pylist()
    riskiest = table.filter(pc.equal(table["stratum"], "riskiest"))
    return {
        "path": str(path),
        "selection": table["selection"][0].as_py(),
        "negatives": table["selection_size"][0].as_py(),
        **{name: strata.count(name) for name in ("riskiest", "random", "judged")},
        "riskiest_from": pc.min(riskiest["p_false_negative"]).as_py(),
        "labels": list(labels),
    }


def render_suspects(found: Mapping[str, Any], run: Path) -> str:
    """Three lines for people."""
    others = found["negatives"] - found["riskiest"] - found["judged"]
    risky = "" if found["riskiest_from"] is None else f" (p from {found['riskiest_from']:.2g})"
    drawn = (
        f"{found['riskiest'] + found['random']:,} of the {found['negatives']:,} mined negatives of "
        f"selection {found['selection']!r}: the {found['riskiest']:,} riskiest{risky}, "
        f"{found['random']:,} of the other {others:,} at random"
    )
    before = f"; {found['judged']:,} judged before stand last, filled in" if found["judged"] else ""
    # What an earlier round found is in its own file; without that the next selection would not know of it.
    files = "".join(f" --labels {file}" for file in [*found["labels"], found["path"]])
    name = "judged" if found["selection"] != "judged" else "judged-again"
    lines = (
        drawn + before,
        f"fill in the column `relevant` (true or false) of {found['path']}, then",
        f"hardneg select {run}{files} --name {name}",
    )
    return "\n".join(printable(line) for line in lines)
