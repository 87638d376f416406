"""Window, thresholds and margins, each retriever by its own ranks and scores, or by one named score."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from hardneg.errors import UsageError

NAN = float("nan")
# Scores as they are exact in float32: a positive (document 9, 0.75) and eight others.
FOUND = {0: 1.0, 1: 0.875, 9: 0.75, 2: 0.75, 3: 0.6875, 4: 0.5, 5: 0.25, 6: -0.5, 7: -1.0}


@pytest.mark.parametrize(
    ("rules", "kept"),
    [
        ({}, [0, 1, 2, 3, 4, 5, 6, 7]),
        ({"window": "2:5"}, [2, 3]),  # raw ranks 3 to 5, of which 3 is the positive
        ({"window": "2:"}, [2, 3, 4, 5, 6, 7]),
        ({"max_score": 0.75}, [2, 3, 4, 5, 6, 7]),  # a score equal to the bound stays
        ({"min_score": 0.25}, [0, 1, 2, 3, 4, 5]),
        ({"margin": 0.0}, [2, 3, 4, 5, 6, 7]),  # 0.75 - 0
        ({"margin": 0.25}, [4, 5, 6, 7]),  # 0.75 - 0.25 = 0.5
        ({"relative_margin": 0.25}, [4, 5, 6, 7]),  # 0.75 - 0.75 * 0.25 = 0.5625
        ({"window": "1:6", "margin": 0.0, "min_score": 0.6}, [2, 3]),
    ],
)
def test_what_passes(select: SimpleNamespace, rules: dict[str, object], kept: list[int]) -> None:
    found = select.choose([{"dense": FOUND}], [{9: 0.75}], num_negatives="all", **rules)
    assert select.chosen(found) == kept


def test_the_first_rule_that_fails_is_the_reason(select: SimpleNamespace) -> None:
    found = select.choose(
        [{"dense": FOUND}],
        [{9: 0.75}],
        num_negatives=1,
        window="1:8",
        min_score=-0.75,
        max_score=0.8,
        margin=0.0625,
        relative_margin=0.25,
    )
    assert select.reasons(found) == {
        0: "window",
        1: "max_score",  # above 0.8; also above both margins
        9: "positive",
        2: "margin",  # 0.75 > 0.75 - 0.0625
        3: "relative_margin",  # 0.6875 <= 0.75 - 0.0625, but > 0.5625
        4: "selected",
        5: "not_sampled",
        6: "not_sampled",
        7: "window",  # rank 9; also below min_score
    }


def test_a_share_of_a_negative_positive_score_keeps_only_lower_scores(select: SimpleNamespace) -> None:
    """NeMo's rule inverts here: 0.95 * -2 = -1.9 would let documents above the positive through."""
    scores = {0: -1.875, 9: -2.0, 1: -2.0625, 2: -2.125, 3: -4.0}
    found = select.choose([{"dense": scores}], [{9: -2.0}], num_negatives="all", relative_margin=0.05)
    assert select.chosen(found) == [2, 3]  # -2 - 2 * 0.05 = -2.1


def test_a_window_and_a_margin_do_not_take_from_each_other(select: SimpleNamespace) -> None:
    """range_min counted after the margin would skip two of the documents that the margin left."""
    scores = {0: 0.99, 1: 0.98, 9: 0.9, 2: 0.5, 3: 0.4, 4: 0.3}
    found = select.choose([{"dense": scores}], [{9: 0.9}], num_negatives="all", window="2:", margin=0.1)
    assert select.chosen(found) == [2, 3, 4]


def test_masked_documents_are_never_negatives(select: SimpleNamespace) -> None:
    """Score -inf, as NeMo marks masked documents and then returns them when too few remain."""
    scores = {0: 0.5, 1: float("-inf"), 2: float("-inf")}
    found = select.choose([{"dense": scores}], [{9: 0.9}], num_negatives=3)
    assert select.chosen(found) == [0]
    assert select.reasons(found) == {0: "selected", 1: "no_score", 2: "no_score"}


@pytest.mark.parametrize(
    ("reference", "bound"), [("min", 0.25), ("mean", (0.25 + 0.5 + 1.0) / 3), ("max", 1.0)]
)
def test_reference_over_several_positives(select: SimpleNamespace, reference: str, bound: float) -> None:
    scores = {0: 1.5, 1: 0.875, 2: 0.5625, 3: 0.375, 4: 0.125}
    found = select.choose(
        [{"dense": scores}],
        [{7: 0.25, 8: 0.5, 9: 1.0}],
        num_negatives="all",
        margin=0.0,
        reference=reference,
    )
    assert select.chosen(found) == [doc for doc, score in scores.items() if score <= bound]


def test_one_wrong_label_does_not_empty_a_query(select: SimpleNamespace) -> None:
    """The lowest positive (0.1) would leave nothing; the mean, (0.9 + 0.8 + 0.1) / 3 = 0.6, keeps two."""
    scores = {0: 0.7, 1: 0.5, 2: 0.4}
    positives = [{7: 0.9, 8: 0.8, 9: 0.1}]
    lowest = select.choose([{"dense": scores}], positives, num_negatives=2, margin=0.0, reference="min")
    mean = select.choose([{"dense": scores}], positives, num_negatives=2, margin=0.0)
    assert (select.chosen(lowest), select.chosen(mean)) == ([], [1, 2])


TWO = [{"dense": {0: 0.9, 1: 0.8, 2: 0.7, 3: 0.3}, "bm25": {3: 12.0, 1: 9.0, 4: 3.0}}]
TWO_POSITIVE = [{9: {"dense": 0.75, "bm25": 10.0}}]


@pytest.mark.parametrize(
    ("combine", "kept"),
    [
        # 0: dense 0.9 > 0.75.  1: dense fails, bm25 passes.  2: dense passes alone.  3: bm25 12 > 10, dense
        # passes.  4: bm25 passes alone.
        ("all", {2, 4}),
        ("any", {1, 2, 3, 4}),
    ],
)
def test_several_retrievers_judge_by_their_own_scores(
    select: SimpleNamespace, combine: str, kept: set[int]
) -> None:
    found = select.choose(TWO, TWO_POSITIVE, num_negatives="all", margin=0.0, combine=combine)
    assert set(select.chosen(found)) == kept
    assert {doc for doc, reason in select.reasons(found).items() if reason == "margin"} == {
        0,
        1,
        2,
        3,
        4,
    } - kept


@pytest.mark.parametrize(("combine", "kept"), [("all", {2, 4}), ("any", {1, 2, 3, 4})])
def test_windows_go_by_each_retrievers_own_ranks(
    select: SimpleNamespace, combine: str, kept: set[int]
) -> None:
    """Window 1: skips each one's first: dense its 0, bm25 its 3; 1 is dense's second and bm25's second."""
    found = select.choose(TWO, TWO_POSITIVE, num_negatives="all", window="1:", combine=combine)
    assert set(select.chosen(found)) == (kept | {1}) - ({3} if combine == "all" else set())


def test_under_any_the_reason_is_the_last_obstacle(select: SimpleNamespace) -> None:
    found = select.choose(
        [{"dense": {0: 0.9, 1: 0.8}, "bm25": {1: 12.0, 0: 11.0}}],
        TWO_POSITIVE,
        window="1:",
        margin=0.0,
        combine="any",
    )
    # 0: first for dense (window); second for bm25, whose margin stops it (11 > 10). 1 the other way round.
    assert select.reasons(found) == {0: "margin", 1: "margin"}
    found = select.choose(
        [{"dense": {0: 0.9, 1: 0.8}, "bm25": {1: 12.0, 0: 11.0}}], TWO_POSITIVE, window="1:", margin=0.0
    )
    assert select.reasons(found) == {0: "window", 1: "window"}


def test_score_by_a_scorer_judges_alone_and_misses_no_document_silently(select: SimpleNamespace) -> None:
    found = [{"dense": {0: 0.9, 1: 0.8, 2: 0.7}, "ce": {0: 1.0, 1: 6.0}}]
    positives = [{9: {"dense": 0.1, "ce": 5.0}}]
    picked = select.choose(
        found, positives, scorers=["ce"], num_negatives="all", margin=0.0, score_by="ce", window="0:3"
    )
    assert select.reasons(picked) == {0: "selected", 1: "margin", 2: "no_score"}
    assert picked.negatives.score.tolist() == [1.0]
    assert picked.negatives.positive_score.tolist() == [5.0]
    assert picked.negatives.margin.tolist() == [4.0]
    assert picked.negatives.rank.tolist() == [1]
    only_order = select.choose(found, positives, scorers=["ce"], num_negatives="all", order_by="ce")
    assert select.chosen(only_order) == [1, 0, 2]  # no rule needs the score that 2 lacks: it comes last


def test_score_by_a_retriever_uses_its_window_too(select: SimpleNamespace) -> None:
    picked = select.choose(TWO, TWO_POSITIVE, num_negatives="all", score_by="bm25", window="1:", margin=0.0)
    assert select.reasons(picked) == {0: "window", 1: "selected", 2: "window", 3: "window", 4: "selected"}


def test_a_positive_without_a_score_reports_the_query(select: SimpleNamespace) -> None:
    positives = [{8: 0.5, 9: NAN}]
    scores = [{"run": {0: 0.4, 1: 0.3}}]
    found = select.choose(scores, positives, margin=0.0)
    assert found.outcome.tolist() == [4]
    assert "no score by 'run'" in found.message[0]
    assert "missing_positive_score" in found.message[0]
    assert select.reasons(found) == {0: "no_positive_score", 1: "no_positive_score"}
    filled = select.choose(scores, positives, margin=0.0, missing_positive_score=0.25)
    assert select.chosen(filled) == [1]  # mean (0.5 + 0.25) / 2 = 0.375
    without = select.choose(scores, positives)
    assert select.chosen(without) == [0, 1]  # no margin rule: nothing is missing


def test_any_retriever_that_lacks_it_makes_the_query_invalid(select: SimpleNamespace) -> None:
    positives = [{9: {"dense": 0.75}}]
    assert "'bm25'" in select.choose(TWO, positives, margin=0.0).message[0]
    assert select.choose(TWO, positives, margin=0.0, score_by="dense").outcome.tolist() != [4]


def test_a_query_without_a_positive_is_invalid(select: SimpleNamespace) -> None:
    found = select.choose([{"dense": {0: 0.5}}, {"dense": {0: 0.5}}], [{}, {9: 0.7}], num_negatives=1)
    assert found.outcome.tolist() == [4, 0]
    assert found.message == ("has no positive", "")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"score_by": "dens"}, "did you mean 'dense'"),
        ({"order_by": "ce"}, "'ce' is none of this run"),
        ({"quota": "bm52=1"}, "did you mean 'bm25'"),
        ({"quota": ("bm25=3", "dense=2")}, "5 in all, but num_negatives is 4"),
        ({"quota": "bm25"}, "NAME=N"),
        ({"quota": ("bm25=1", "bm25=2")}, "has one already"),
        ({"sampler": "softmax"}, "name one with order_by or score_by"),
        ({"sampler": "diverse", "order_by": "dense"}, "add a dense retriever"),
    ],
)
def test_what_cannot_be_carried_out_is_refused(
    select: SimpleNamespace, config: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        select.choose(TWO, TWO_POSITIVE, **config)
