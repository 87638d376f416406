"""No known positive survives: not by id, not by text, not through another query, not as a near copy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardneg.config import GuardConfig
from hardneg.errors import UsageError
from hardneg.guard import (
    REASONS,
    Sketches,
    TextClasses,
    apply_rules,
    block_of,
    build_rules,
    codes,
)
from hardneg.guard.fitted import LIKELY, PROMOTED
from hardneg.records import NO_DOC, Block, Bool, Collection, Pairs, ReadReport
from hardneg.texts import normalise

LONG = "The holder of a licence must report every year to the office that granted it."
COPY = "The holder of a licence must report every year to the office that granted it!!"


def collect(
    documents: list[str],
    queries: list[str],
    *,
    titles: list[str | None] | None = None,
    **columns: list[str | None],
) -> Collection:
    """Documents d0, d1, ... and queries q0, q1, ...; `group`, `lang` of the corpus, `query_lang`."""
    query_columns = (
        {"lang": pa.array(columns.pop("query_lang"), pa.string())} if "query_lang" in columns else {}
    )
    corpus = pa.table(
        {
            "doc_id": [f"d{row}" for row in range(len(documents))],
            "title": pa.array(titles or [None] * len(documents), pa.large_string()),
            "text": pa.array(documents, pa.large_string()),
            **{name: pa.array(values, pa.string()) for name, values in columns.items()},
        }
    )
    query_table = pa.table(
        {
            "query_id": [f"q{row}" for row in range(len(queries))],
            "text": pa.array(queries, pa.large_string()),
            **query_columns,
        }
    )
    return Collection(corpus, query_table, pa.table({}), pa.table({}), ReadReport("test"))


def pairs(positives: list[list[int]]) -> Pairs:
    flat = [(query, doc) for query, docs in enumerate(positives) for doc in docs]
    query, doc = np.array(flat, np.int32).reshape(-1, 2).T
    return Pairs.from_rows(query, doc, len(positives))


def judge(
    collection: Collection,
    positives: list[list[int]],
    query: list[int] | None = None,
    doc: list[list[int]] | None = None,
    partly: list[list[int]] | None = None,
    **config: object,
) -> list[list[str]]:
    """The reason for each candidate, by default for every document and every query."""
    known = pairs(positives)
    settings = GuardConfig(**config)  # type: ignore[arg-type]
    classes = TextClasses.build(collection.corpus, collection.queries)
    sketches = Sketches.of(collection.corpus) if settings.near_duplicate else None
    rules = build_rules(
        collection, known, classes, sketches, settings, partly_relevant=pairs(partly) if partly else None
    )
    query = list(range(len(positives))) if query is None else query
    doc = [list(range(collection.corpus.num_rows))] * len(query) if doc is None else doc
    block = block_of(np.array(query, np.int32), np.array(doc, np.int32), known)
    names = codes(rules)
    return [[names[number] for number in row] for row in apply_rules(block, rules).tolist()]


def test_a_positive_by_id() -> None:
    assert judge(collect(["a", "b", "c"], ["q", "r"]), [[1], [0, 2]]) == [
        ["", "positive", ""],
        ["positive", "", "positive"],
    ]


def test_the_twin_of_a_positive_under_another_id() -> None:
    """field.md: the same text under two ids; the positive with other case or spacing in the corpus."""
    collection = collect(["A cat.", "a  CAT.", "Ａ cat.", "a dog."], ["q"])
    assert judge(collection, [[0]]) == [["positive", "positive_text", "positive_text", ""]]


def test_the_querys_own_text() -> None:
    """field.md: the query's own text in the corpus is mined."""
    collection = collect(
        ["What IS it?", "it?", "it?", "what"], ["what is  it?"], titles=[None, "What is", None, None]
    )
    assert judge(collection, [[3]]) == [["query_text", "query_text", "", "positive"]]


def test_the_querys_text_under_a_title() -> None:
    collection = collect(["what is it?", "other"], ["what is it?"], titles=["Question 5", None])
    assert judge(collection, [[1]]) == [["query_text", "positive"]]


def test_positives_of_another_query_with_the_same_text() -> None:
    """field.md: the same query on two rows, each mining the other's positive."""
    collection = collect(["a", "b", "B ", "c"], ["Who?", " who?", "why?"])
    assert judge(collection, [[0], [1], [3]]) == [
        ["positive", "same_query_positive", "same_query_positive", ""],
        ["same_query_positive", "positive", "positive_text", ""],
        ["", "", "", "positive"],
    ]


def test_a_document_shared_by_two_queries_stays_their_positive() -> None:
    """field.md: two queries made from one document, and the shared document is mined."""
    assert judge(collect(["a", "b"], ["q", "r"]), [[0], [0]]) == [["positive", ""], ["positive", ""]]


def test_a_near_duplicate_of_a_positive() -> None:
    collection = collect([LONG, COPY, "Something else altogether."], ["q", "r"])
    assert judge(collection, [[0], [2]]) == [["positive", "near_duplicate", ""], ["", "", "positive"]]
    assert judge(collection, [[0], [2]], near_duplicate=0) == [["positive", "", ""], ["", "", "positive"]]


def test_a_twin_of_a_near_duplicate_and_a_near_duplicate_of_a_twin() -> None:
    collection = collect([LONG.upper(), COPY, LONG, COPY.upper(), "x"], ["q", "r"])
    assert judge(collection, [[2], [4]])[0] == [
        "positive_text",
        "near_duplicate",
        "positive",
        "near_duplicate",
        "",
    ]


def test_a_near_duplicate_of_the_positive_of_a_query_with_the_same_text() -> None:
    collection = collect([LONG, COPY, "x"], ["who", "WHO"])
    assert judge(collection, [[0], [2]])[1] == ["same_query_positive", "near_duplicate", "positive"]


def test_near_duplicates_among_many_positives(monkeypatch: pytest.MonkeyPatch) -> None:
    documents = [f"{number * 7919:06d} {LONG} {number * 104729:09d}" * 2 for number in range(40)]
    documents += [f"{document}!" for document in documents]
    positives = [list(range(30)), [35], []]
    expected = [
        [
            "positive" if doc in own else "near_duplicate" if doc - 40 in own else ""
            for doc in range(len(documents))
        ]
        for own in positives
    ]
    collection = collect(documents, ["q", "r", "s"])
    assert judge(collection, positives, near_duplicate=0.97) == expected
    monkeypatch.setattr("hardneg.guard.near_duplicate._PLACES", 40)
    assert judge(collection, positives, near_duplicate=0.97) == expected


def test_a_query_with_fewer_positives_than_another_has_only_its_own() -> None:
    # A block is as wide as its widest query: q's empty place must not stand for the last document.
    collection = collect(["x", "y", COPY, LONG], ["q", "r"])
    assert judge(collection, [[0], [1, 3]]) == [
        ["positive", "", "", ""],
        ["", "positive", "near_duplicate", "positive"],
    ]


def test_the_positives_own_group() -> None:
    collection = collect(["a", "b", "c", "d"], ["q", "r"], group=["x", "x", None, "y"])
    assert judge(collection, [[0], [2]]) == [["positive", "group", "", ""], ["", "", "positive", ""]]


def test_empty_and_short_documents() -> None:
    collection = collect(["", " \u3000", "\ufeff \u200b", "abc", "abcd", "abcde"], ["q"])
    nothing = ["empty"] * 3
    assert judge(collection, [[5]]) == [[*nothing, "", "", "positive"]]
    assert judge(collection, [[5]], min_chars=4) == [[*nothing, "too_short", "", "positive"]]


def test_other_languages() -> None:
    languages = ["de", "en-GB", "EN", None, "fr", ""]
    collection = collect(list("abcdef"), ["q", "r", "s"], lang=languages, query_lang=["en", "de", None])
    assert judge(collection, [[], [], []], same_lang=True) == [
        ["other_language", "", "", "", "other_language", ""],
        ["", "other_language", "other_language", "", "other_language", ""],
        ["", "", "", "", "", ""],
    ]
    assert judge(collection, [[], [], []]) == [[""] * 6] * 3


@pytest.mark.parametrize(
    ("columns", "where"),
    [({}, "corpus"), ({"lang": ["en"]}, "queries"), ({"lang": [None], "query_lang": ["en"]}, "corpus")],
)
def test_languages_that_are_not_there_cannot_be_compared(
    columns: dict[str, list[str | None]], where: str
) -> None:
    with pytest.raises(UsageError, match=f"the {where} have no `lang`"):
        judge(collect(["a"], ["q"], **columns), [[0]], same_lang=True)


def test_partly_relevant_documents_their_twins_and_those_of_the_same_query() -> None:
    collection = collect(["a", "b", "B ", "c"], ["q", "Q", "r"])
    assert judge(collection, [[0], [], [0]], partly=[[1], [3], []]) == [
        ["positive", "partly_relevant", "partly_relevant", "partly_relevant"],
        ["same_query_positive", "partly_relevant", "partly_relevant", "partly_relevant"],
        ["positive", "", "", ""],
    ]


def test_the_first_rule_in_the_stated_order_is_the_reason() -> None:
    collection = collect([LONG, COPY, "a", ""], ["q"], group=["x", "x", "x", "x"])
    assert judge(collection, [[0]], min_chars=1000) == [["positive", "near_duplicate", "group", "group"]]


def test_every_code_is_explained_in_the_order_of_the_rules(tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("d0\n", "utf-8")
    collection = collect(["a"], ["q"], group=["x"], lang=["en"], query_lang=["en"])
    config = GuardConfig(exclude_docs=str(listed), min_chars=1, same_lang=True)
    classes = TextClasses.build(collection.corpus, collection.queries)
    known = pairs([[0]])
    rules = build_rules(
        collection, known, classes, Sketches.of(collection.corpus), config, partly_relevant=known
    )
    fitted = (PROMOTED, LIKELY)
    assert ("", *REASONS) == (*codes(rules), *fitted)


def test_near_duplicates_cannot_be_forgotten() -> None:
    collection = collect(["a"], ["q"])
    classes = TextClasses.build(collection.corpus, collection.queries)
    with pytest.raises(UsageError, match="near_duplicate is on"):
        build_rules(collection, pairs([[0]]), classes, None, GuardConfig())


def test_places_without_a_document_have_no_reason() -> None:
    collection = collect([""], ["q"])
    assert judge(collection, [[]], doc=[[NO_DOC, 0, NO_DOC]]) == [["", "empty", ""]]

    class Everything:
        code = "everything"

        def exclude(self, block: Block) -> Bool:
            return np.ones(block.doc.shape, np.bool_)

    block = block_of(np.array([0], np.int32), np.array([[0, NO_DOC]], np.int32), pairs([[0]]))
    assert apply_rules(block, [Everything()]).tolist() == [[1, 0]]


def test_a_rule_that_breaks_its_promise_is_named() -> None:
    class Wrong:
        code = "wrong"

        def exclude(self, block: Block) -> Bool:
            return np.ones(3, np.bool_)

    block = block_of(np.array([0], np.int32), np.array([[0, 1]], np.int32), pairs([[0]]))
    with pytest.raises(UsageError, match=r"rule 'wrong' gave bool \(3,\); it must give bool \(1, 2\)"):
        apply_rules(block, [Wrong()])


# Few texts, so that twins, near copies and queries in the corpus come up all the time.
TEXTS = ["", "who", "Who ", "abc", "ABC", "xyz", LONG, LONG.upper(), COPY, "x" + COPY]


def reference(
    documents: list[str], queries: list[str], groups: list[str | None], positives: list[list[int]]
) -> list[list[str]]:
    """The rules in plain Python."""

    def near(one: str, other: str) -> bool:
        a, b = (normalise(text) for text in (one, other))
        if a == b or not a or not b:
            return False
        first, second = ({text[at : at + 5] for at in range(max(len(text) - 4, 1))} for text in (a, b))
        return len(first & second) / len(first | second) >= 0.8

    def reason(query: int, doc: int) -> str:
        text = normalise(documents[doc])
        own = positives[query]
        mates = [row for row, other in enumerate(queries) if normalise(other) == normalise(queries[query])]
        known = [positive for mate in mates for positive in positives[mate]]
        if doc in own:
            return "positive"
        if text in [normalise(documents[positive]) for positive in own]:
            return "positive_text"
        if text == normalise(queries[query]):
            return "query_text"
        if text in [normalise(documents[positive]) for positive in known]:
            return "same_query_positive"
        if any(near(documents[positive], documents[doc]) for positive in known):
            return "near_duplicate"
        if groups[doc] is not None and groups[doc] in [groups[positive] for positive in known]:
            return "group"
        return "" if text else "empty"

    return [[reason(query, doc) for doc in range(len(documents))] for query in range(len(queries))]


@given(st.data())
def test_the_rules_are_those_of_plain_python_for_any_collection_in_any_order(data: st.DataObject) -> None:
    documents = data.draw(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=8))
    queries = data.draw(st.lists(st.sampled_from(["who", "WHO", "abc", "why"]), min_size=1, max_size=4))
    groups = data.draw(
        st.lists(st.sampled_from([None, None, "g", "h"]), min_size=len(documents), max_size=len(documents))
    )
    document = st.integers(0, len(documents) - 1)
    positives = [data.draw(st.lists(document, max_size=3, unique=True)) for _ in queries]
    expected = reference(documents, queries, groups, positives)
    collection = collect(documents, queries, group=groups)
    assert judge(collection, positives) == expected

    # Any rows of any queries, in any order, a block of their own each.
    for _ in range(2):
        query = data.draw(st.integers(0, len(queries) - 1))
        doc = data.draw(st.permutations(range(len(documents))))
        part = judge(collection, positives, query=[query, query], doc=[list(doc), [NO_DOC] * len(documents)])
        assert part == [[expected[query][place] for place in doc], [""] * len(documents)]


@given(st.data())
def test_no_known_positive_survives(data: st.DataObject) -> None:
    documents = data.draw(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=10))
    queries = data.draw(st.lists(st.sampled_from(["who", "WHO", "why"]), min_size=1, max_size=4))
    document = st.integers(0, len(documents) - 1)
    positives = [data.draw(st.lists(document, max_size=4, unique=True)) for _ in queries]
    for query, row in enumerate(judge(collect(documents, queries), positives)):
        left = {normalise(documents[doc]) for doc, reason in enumerate(row) if not reason}
        mates = [mate for mate, text in enumerate(queries) if normalise(text) == normalise(queries[query])]
        known = {normalise(documents[doc]) for mate in mates for doc in positives[mate]}
        assert not left & (known | {normalise(queries[query]), ""})
