"""Texts of a CSV file that a spreadsheet would run as formulas."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from hardneg.spreadsheet import TO_MARK


def neutralised(table: pa.Table) -> tuple[pa.Table, int]:
    """Put ' before every text that begins like a formula (`unmarked_cell` takes it off again); also, how many
    cells that changed."""
    columns, changed = [], 0
    for column in table.columns:
        if pa.types.is_dictionary(column.type):
            texts = column.combine_chunks()
            risky = pc.match_substring_regex(texts.dictionary, TO_MARK)
            changed += pc.sum(risky.take(texts.indices)).as_py() or 0
            quote, nothing = pa.scalar("'", pa.large_string()), pa.scalar("", pa.large_string())
            marked = pc.binary_join_element_wise(quote, texts.dictionary, nothing)
            safe = pc.if_else(risky, marked, texts.dictionary)
            column = pa.DictionaryArray.from_arrays(texts.indices, safe)
        columns.append(column)
    return pa.table(columns, names=table.column_names), changed
