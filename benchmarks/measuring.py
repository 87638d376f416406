"""What the benchmarks share: timing whole processes, naming the hardware, tables and JSON."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
KEEPS_BYTECODE = {"PYTHONDONTWRITEBYTECODE": ""}
"""As an installed package does: else each process compiles the sources anew, for a third of a second."""


def shared_data(name: str) -> Path:
    """A measuring collection beside the checkout, or the folder that $HARDNEG_DATA names."""
    root = Path(os.environ.get("HARDNEG_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    if not (root / name).is_dir():
        raise SystemExit(
            f"{root / name} is not there; set HARDNEG_DATA to a folder that holds {name}/ in BEIR layout"
        )
    return root / name


def run_process(command: Sequence[str], environment: Mapping[str, str]) -> dict[str, float]:
    """Wall and processor seconds and peak resident memory (bytes) of one process; it must succeed."""
    started = time.monotonic()
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command,
            env={**os.environ, **KEEPS_BYTECODE, **environment},
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - started
        if process.returncode:
            errors.seek(0)
            raise SystemExit(
                f"{' '.join(command)} ended with {process.returncode}:\n{errors.read().decode()[-2000:]}"
            )
    return {
        "seconds": seconds,
        "processor_seconds": used.ru_utime + used.ru_stime,
        "peak_bytes": float(used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)),
    }


def hardware() -> dict[str, Any]:
    model = ""
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "")
    return {
        "processor": model or platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    columns = list(rows[0])
    cells = [[_cell(row[column]) for column in columns] for row in rows]
    widths = [max(len(c), *(len(row[i]) for row in cells)) for i, c in enumerate(columns)]
    for line in ([*columns], *cells):
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _cell(value: Any) -> str:
    return f"{value:,.3f}" if isinstance(value, float) else str(value)


def write_result(name: str, rows: Sequence[Mapping[str, Any]], **facts: Any) -> None:
    RESULTS.mkdir(exist_ok=True)
    result = {"hardware": hardware(), **facts, "rows": list(rows)}
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", "utf-8")
