"""A run's tables as Arrow, pandas and polars."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import hardneg


@pytest.fixture(scope="module")
def mined(tmp_path_factory: pytest.TempPathFactory) -> hardneg.Mined:
    rows = [{"query": f"river {n}", "positive": f"river engine {n}"} for n in range(9)]
    return hardneg.mine(
        rows,
        run_dir=tmp_path_factory.mktemp("tables") / "run",
        retriever="bm25",
        relative_margin=None,
        guard="off",
        near_duplicate=0,
        depth=5,
        num_negatives=2,
    )


@pytest.mark.parametrize("table", ["negatives", "positives", "decisions", "outcomes", "candidates"])
def test_pandas_and_polars_hold_the_rows_of_the_table(mined: hardneg.Mined, table: Any) -> None:
    arrow = getattr(mined, table)
    assert arrow.num_rows > 0
    frame = mined.to_pandas(table)
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.columns) == arrow.column_names
    assert frame[arrow.column_names[0]].astype(str).tolist() == arrow[0].to_pylist()
    polars = mined.to_polars(table)
    assert isinstance(polars, pl.DataFrame)
    assert polars.to_dicts() == arrow.to_pylist()


def test_a_run_is_an_arrow_stream_of_its_negatives(mined: hardneg.Mined) -> None:
    assert pa.table(mined).to_pylist() == mined.negatives.to_pylist()
    assert pl.DataFrame(mined).to_dicts() == mined.negatives.to_pylist()
    assert (
        pd.DataFrame.from_arrow(mined)["doc_id"].astype(str).tolist() == mined.negatives["doc_id"].to_pylist()
    )


def test_an_export_is_a_data_set_with_both_ways_out(mined: hardneg.Mined) -> None:
    dataset = mined.to("st-triplet")
    rows = dataset.to_list()
    assert dataset.to_pandas().to_dict("records") == rows
    assert dataset.to_polars().to_dicts() == rows
    assert hardneg.load(dataset).queries.num_rows == 9


def test_another_table_is_refused(mined: hardneg.Mined) -> None:
    with pytest.raises(hardneg.UsageError, match=r"no table 'negative'; did you mean 'negatives'\?"):
        mined.to_pandas("negative")  # type: ignore[arg-type]  # what is refused


def test_without_polars_it_says_what_to_install(
    mined: hardneg.Mined, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(hardneg.UsageError, match="pip install polars"):
        mined.to_polars()
