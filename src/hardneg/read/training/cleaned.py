"""A table of groups without what is wrong in it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hardneg.read.training.faults import Faults
from hardneg.records import Bool


def without(groups: pa.Table, faults: Faults) -> pa.Table:
    """Without the faulty rows, and of the others without the faulty texts and what stands beside them."""
    if not faults:
        return groups
    for side, codes in (("pos", faults.positive), ("neg", faults.negative)):
        groups = keeping(groups, side, codes == 0)
    return groups.filter(pa.array(faults.row == 0))


def keeping(groups: pa.Table, side: str, keep: Bool) -> pa.Table:
    """keep  bool (texts,): of the side. What stands beside the texts, aligned with them, goes along."""
    if keep.all():
        return groups
    lengths = pc.list_value_length(groups[side]).to_numpy()
    for name in (side, f"{side}_id", f"{side}_score", f"{side}_label", f"{side}_title"):
        column = groups[name].combine_chunks()
        groups = groups.set_column(groups.column_names.index(name), name, _kept(column, lengths, keep))
    return groups


def _kept(column: pa.ListArray, lengths: np.ndarray, keep: Bool) -> pa.ListArray:
    own = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
    aligned = own == lengths
    kept = np.ones(own.sum(), bool)
    kept[np.repeat(aligned, own)] = keep[np.repeat(aligned, lengths)]
    counts = np.concatenate([[0], np.cumsum(kept)])
    ends = np.cumsum(own)
    start = np.concatenate([[0], counts[ends]]).astype(np.int32)
    values = column.flatten().filter(pa.array(kept))
    return pa.ListArray.from_arrays(pa.array(start), values, type=column.type, mask=column.is_null())
