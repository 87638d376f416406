"""What a text shows."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from hardneg.texts import blank_documents, is_blank

PART = st.none() | st.text(st.sampled_from(" \t\u3000\0\ufeff\u200ba7é汉."), max_size=4)


@given(st.lists(st.tuples(PART, PART)))
def test_a_document_is_blank_where_title_and_text_show_nothing(
    rows: list[tuple[str | None, str | None]],
) -> None:
    columns = {
        name: pa.chunked_array([pa.array([row[place] for row in rows], pa.large_string())])
        for place, name in enumerate(("title", "text"))
    }
    expected = [is_blank(f"{title or ''} {text or ''}".strip()) for title, text in rows]
    assert blank_documents(pa.table(columns)).tolist() == expected
