"""Which texts go into which shard, in batches of which size: made once, kept, followed on resuming."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from hardneg.encode.hashes import Hashes
from hardneg.errors import StoreError
from hardneg.files import read_parquet, write_parquet
from hardneg.records import Bool, Int32, Int64

TEXTS_A_SHARD = 4096
BYTES_A_SHARD = 4 << 20
"""A shard is about a minute's work on two cores; one is the most that a kill can lose."""
_BATCH = b"hardneg.texts_a_batch"


@dataclass(frozen=True)
class ShardPlan:
    """The shards still to be written, in order.

    position       int32 (texts,): places among the distinct texts of the encoding, ascending within a shard
    shard          int32 (texts,): number of the shard, not descending
    texts_a_batch  what the encoder was set to; None where it has no such setting
    """

    position: Int32
    shard: Int32
    texts_a_batch: int | None = None

    @classmethod
    def of(cls, missing: Bool, lengths: Int64, texts_a_batch: int | None = None) -> ShardPlan:
        """Cut the missing texts, in the order of the table, by their number and their bytes of UTF-8.

        Texts that lie side by side in the table lie side by side in a shard, so that blocks of rows are
        read in runs.
        """
        position = np.flatnonzero(missing).astype(np.int32)
        shard = np.empty(len(position), np.int32)
        total = np.cumsum(lengths[position])
        start = number = 0
        while start < len(position):
            before = int(total[start - 1]) if start else 0
            by_bytes = int(np.searchsorted(total, before + BYTES_A_SHARD, side="right"))
            stop = min(start + TEXTS_A_SHARD, max(by_bytes, start + 1))
            shard[start:stop] = number
            start, number = stop, number + 1
        return cls(position, shard, texts_a_batch)

    def parts(self) -> list[Int32]:
        """The positions of each shard."""
        cuts = np.flatnonzero(np.diff(self.shard)) + 1
        return np.split(self.position, cuts) if len(self.position) else []

    def covers(self, missing: Bool) -> bool:
        """Whether every missing text has its shard."""
        planned = np.zeros(len(missing), np.bool_)
        inside = self.position[self.position < len(missing)]
        planned[inside] = True
        return len(inside) == len(self.position) and not (missing & ~planned).any()


def plan_path(folder: Path, distinct: Hashes) -> Path:
    """The plan's file: named by the distinct texts of the encoding, in their order."""
    name = hashlib.blake2b(distinct.tobytes(), digest_size=12).hexdigest()
    return folder / f"{name}.plan.parquet"


def kept_plan(
    path: Path, missing: Bool, lengths: Int64, warm_up: Callable[[], int | None] = lambda: None
) -> ShardPlan:
    """The plan on disk where there is one that still covers what is missing, else a new one, written.

    warm_up  finds the `texts_a_batch` of a new plan
    """
    kept = _read(path) if path.exists() else None
    if kept is not None and kept.covers(missing):
        return kept
    if not missing.any():
        return ShardPlan.of(missing, lengths)
    plan = ShardPlan.of(missing, lengths, warm_up())
    table = pa.table({"position": plan.position, "shard": plan.shard})
    batch = {} if plan.texts_a_batch is None else {_BATCH: str(plan.texts_a_batch)}
    write_parquet(table.replace_schema_metadata(batch), path)
    return plan


def _read(path: Path) -> ShardPlan | None:
    """None where it is damaged: a new plan costs nothing but the last bits of the vectors still to come."""
    try:
        table = read_parquet(path)
        batch = (table.schema.metadata or {}).get(_BATCH)
        return ShardPlan(
            table["position"].to_numpy(), table["shard"].to_numpy(), None if batch is None else int(batch)
        )
    except (StoreError, KeyError, ValueError):
        return None
