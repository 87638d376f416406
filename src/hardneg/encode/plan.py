"""Which texts go into which shard: made once for an encoding, kept on disk, followed when it is resumed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from hardneg.encode.hashes import Hashes
from hardneg.encode.store import unwritable
from hardneg.errors import StoreError
from hardneg.files import read_parquet, write_parquet
from hardneg.records import Bool, Int32, Int64

TEXTS_A_SHARD = 4096
BYTES_A_SHARD = 4 << 20
"""A shard is about a minute's work on two cores; one is the most that a kill can lose."""


@dataclass(frozen=True)
class ShardPlan:
    """The shards still to be written, in order.

    position  int32 (texts,): places among the distinct texts of the encoding, ascending within a shard
    shard     int32 (texts,): number of the shard, not descending
    """

    position: Int32
    shard: Int32

    @classmethod
    def of(cls, missing: Bool, lengths: Int64) -> ShardPlan:
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
        return cls(position, shard)

    def parts(self) -> list[Int32]:
        """The positions of each shard."""
        cuts = np.flatnonzero(np.diff(self.shard)) + 1
        return np.split(self.position, cuts) if len(self.position) else []

    def covers(self, missing: Bool) -> bool:
        """Whether every missing text has its shard."""
        planned = np.zeros(len(missing), np.bool_)
        planned[self.position] = True
        return not (missing & ~planned).any()


def plan_path(folder: Path, distinct: Hashes) -> Path:
    """The plan's file: named by the distinct texts of the encoding, in their order."""
    name = hashlib.blake2b(distinct.tobytes(), digest_size=12).hexdigest()
    return folder / f"{name}.plan.parquet"


def kept_plan(path: Path, missing: Bool, lengths: Int64) -> ShardPlan:
    """The plan on disk where there is one that still covers what is missing, else a new one, written."""
    if path.exists():
        try:
            table = read_parquet(path)
            plan = ShardPlan(table["position"].to_numpy(), table["shard"].to_numpy())
            if plan.covers(missing):
                return plan
        except (StoreError, KeyError, IndexError):
            pass  # damaged: a new plan costs nothing but the last bits of the vectors still to come
    plan = ShardPlan.of(missing, lengths)
    if len(plan.position):
        try:
            write_parquet(pa.table({"position": plan.position, "shard": plan.shard}), path)
        except OSError as error:
            raise unwritable(path.parent, error) from error
    return plan
