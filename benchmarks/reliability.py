"""What went wrong of all that was tried: kills, faults, bad inputs, fuzzed inputs, two processes at once.

Runs the tests marked `reliability`, the slow ones among them, and adds up what they count.

    python benchmarks/reliability.py [--quick] [--workers N]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from measuring import print_table, write_result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="without the slow proofs")
    parser.add_argument("--workers", default="0", help="processes that run tests at once; 0: this one alone")
    arguments = parser.parse_args()
    marked = "reliability and not slow" if arguments.quick else "reliability"
    with tempfile.TemporaryDirectory() as scratch:
        counts = Path(scratch) / "counts.jsonl"
        tests = [sys.executable, "-m", "pytest", "-m", marked, "-n", arguments.workers, "--dist", "worksteal"]
        done = subprocess.run(
            tests, cwd=Path(__file__).parents[1], env=os.environ | {"HARDNEG_TALLY": str(counts)}
        )
        tried, failed = Counter[str](), Counter[str]()
        for row in map(json.loads, counts.read_text().splitlines() if counts.exists() else []):
            tried[row["what"]] += row["tried"]
            failed[row["what"]] += row["failed"]
    rows = [{"what": what, "tried": tried[what], "failed": failed[what]} for what in sorted(tried)]
    print_table(rows)
    write_result("reliability", rows, tests_passed=done.returncode == 0, quick=arguments.quick)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
