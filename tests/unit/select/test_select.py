"""Twins, given negatives, references `each`, quotas, reuse, shortfall and what is said of every query."""

from __future__ import annotations

from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pytest

from hardneg.config import SelectConfig
from hardneg.records import NO_DOC
from hardneg.select import OUTCOMES, Selector

NAN = float("nan")
FIVE = {0: 0.9, 1: 0.8, 2: 0.7, 3: 0.6, 4: 0.5}


def outcomes(selection: object) -> list[str]:
    return [OUTCOMES[number] for number in selection.outcome.tolist()]  # type: ignore[attr-defined]


def with_ten_documents(select: SimpleNamespace) -> object:
    ids = pa.chunked_array([pa.array([f"d{number}" for number in range(10)])])
    return select.corpus(doc_ids=ids, classes=np.arange(10, dtype=np.int32))


def with_twins(select: SimpleNamespace, *groups: tuple[int, ...], **more: object) -> object:
    classes = np.arange(100, dtype=np.int32)
    classes[50:] = -1
    for group in groups:
        classes[list(group)] = group[0]
    return select.corpus(classes=classes, **more)


class TestTwins:
    def test_the_best_placed_of_a_text_is_taken_and_no_other(self, select: SimpleNamespace) -> None:
        found = select.choose(
            [{"dense": FIVE}], [{9: 1.0}], corpus=with_twins(select, (0, 2, 4)), num_negatives="all"
        )
        assert select.reasons(found) == {
            0: "selected", 1: "selected", 2: "duplicate", 3: "selected", 4: "duplicate",
        }  # fmt: skip

    def test_a_twin_outside_the_window_leaves_the_other_its_place(self, select: SimpleNamespace) -> None:
        found = select.choose(
            [{"dense": FIVE}], [{9: 1.0}], corpus=with_twins(select, (0, 2)), num_negatives="all", window="1:"
        )
        assert select.chosen(found) == [1, 2, 3, 4]

    def test_random_draws_never_bring_both(self, select: SimpleNamespace) -> None:
        corpus = with_twins(select, (0, 1), (2, 3))
        found = select.choose(
            [{"dense": FIVE}] * 50, [{9: 1.0}] * 50, corpus=corpus, sampler="random", num_negatives=3
        )
        assert all(sorted(select.chosen(found, query)) == [0, 2, 4] for query in range(50))

    def test_a_twin_of_a_given_negative_is_not_mined(self, select: SimpleNamespace) -> None:
        found = select.choose(
            [{"dense": FIVE}], [{9: 1.0}], corpus=with_twins(select, (1, 7)), given=[[7]], num_negatives=3
        )
        assert (select.chosen(found), select.sources(found)) == ([7, 0, 2], ["given", "mined", "mined"])
        assert select.reasons(found)[1] == "duplicate"


class TestGiven:
    def test_they_come_first_and_count(self, select: SimpleNamespace) -> None:
        found = select.choose([{"dense": FIVE}] * 2, [{9: 1.0}] * 2, given=[[60, 2], []], num_negatives=3)
        assert (select.chosen(found, 0), select.chosen(found, 1)) == ([60, 2, 0], [0, 1, 2])
        assert select.sources(found, 0) == ["given", "given", "mined"]
        assert found.negatives.rank.tolist() == [0, 3, 1, 1, 2, 3]  # 60 was not found by anyone
        assert np.isnan(found.negatives.score[0]) and found.negatives.retriever[0] == -1
        assert select.reasons(found, 0) == {
            0: "selected", 1: "not_sampled", 2: "given", 3: "not_sampled", 4: "not_sampled", 60: "given",
        }  # fmt: skip

    def test_those_excluded_and_those_beyond_are_told(self, select: SimpleNamespace) -> None:
        found = select.choose(
            [{"dense": FIVE}],
            [{9: 1.0}],
            given=[[60, 61, 62, 61, 63]],
            excluded_given=[60],
            num_negatives=2,
        )
        assert select.chosen(found) == [61, 62]
        told = select.reasons(found)
        assert (told[60], told[61], told[62], told[63]) == ("positive", "given", "given", "not_needed")
        assert set(told) == {0, 1, 2, 3, 4, 60, 61, 62, 63}
        assert found.counts.sum() == 9

    def test_no_rule_but_the_guard_rejects_them(self, select: SimpleNamespace) -> None:
        found = select.choose([{"dense": FIVE}], [{9: 0.75}], given=[[0]], num_negatives="all", margin=0.0)
        assert select.chosen(found) == [0, 2, 3, 4]

    def test_two_of_one_text_are_one(self, select: SimpleNamespace) -> None:
        found = select.choose(
            [{"dense": FIVE}], [{9: 1.0}], corpus=with_twins(select, (7, 8)), given=[[8, 7]], num_negatives=2
        )
        assert select.chosen(found) == [8, 0]
        assert select.reasons(found)[7] == "duplicate"

    def test_the_guard_must_have_seen_them(self, select: SimpleNamespace) -> None:
        block = select.block([{"dense": FIVE}], [{9: 1.0}])
        selector = Selector(SelectConfig(), ("",), select.corpus())
        with pytest.raises(ValueError, match="given_excluded"):
            selector.select(block, select.is_positive(block), given=np.array([[9]], np.int32))


class TestEach:
    def test_every_positive_gets_its_own(self, select: SimpleNamespace) -> None:
        found = select.choose(
            [{"dense": FIVE}], [{8: 0.75, 9: 0.55}], reference="each", margin=0.0, num_negatives=2
        )
        assert found.negatives.positive.tolist() == [8, 8, 9]
        assert found.negatives.doc.tolist() == [2, 3, 4]
        assert found.negatives.positive_score.tolist() == [0.75, 0.75, np.float32(0.55)]
        assert outcomes(found) == ["short"]
        assert found.message == ("2 positives: 1 full, 1 short; 2 of 5 candidates removed: margin 2",)
        # 4 was not sampled for 8 and selected for 9: the furthest that it came
        assert select.reasons(found) == {
            0: "margin",
            1: "margin",
            2: "selected",
            3: "selected",
            4: "selected",
        }
        assert found.positives.doc.tolist() == [8, 9]
        assert (found.short.tolist(), found.missing.tolist()) == ([True], [1])

    def test_one_positive_without_a_score_leaves_the_others(self, select: SimpleNamespace) -> None:
        found = select.choose(
            [{"run": FIVE}], [{8: NAN, 9: 0.75}], reference="each", margin=0.0, num_negatives=2
        )
        assert found.negatives.positive.tolist() == [9, 9]
        assert found.positives.doc.tolist() == [9]
        assert found.message[0].startswith("2 positives: 1 full, 1 invalid")

    def test_dropping_drops_the_positive_that_got_too_few(self, select: SimpleNamespace) -> None:
        found = select.choose(
            [{"dense": FIVE}],
            [{8: 0.75, 9: 0.55}],
            reference="each",
            margin=0.0,
            num_negatives=2,
            shortfall="drop",
        )
        assert found.negatives.positive.tolist() == [8, 8]
        assert found.positives.doc.tolist() == [8]
        assert (
            select.reasons(found)[4] == "dropped"
        )  # it was chosen for 9, which is further than unsampled for 8
        assert outcomes(found) == ["short"]

    def test_positives_of_a_query_have_draws_of_their_own(self, select: SimpleNamespace) -> None:
        many = {doc: 0.5 - doc / 1000 for doc in range(40)}
        found = select.choose([{"dense": many}], [{60: 0.9, 61: 0.9}], reference="each", sampler="random")
        assert found.negatives.doc[:4].tolist() != found.negatives.doc[4:].tolist()


class TestQuotas:
    TWO: ClassVar = [{"dense": {0: 0.9, 1: 0.8, 2: 0.7, 3: 0.6}, "bm25": {1: 9.0, 5: 8.0, 6: 7.0}}]

    def test_the_quota_first_the_rest_by_preference(self, select: SimpleNamespace) -> None:
        found = select.choose(self.TWO, [{9: 1.0}], quota="bm25=2", num_negatives=4)
        assert select.chosen(found) == [1, 5, 0, 2]

    def test_a_document_of_both_counts_for_both(self, select: SimpleNamespace) -> None:
        found = select.choose(self.TWO, [{9: 1.0}], quota=("bm25=1", "dense=1"), num_negatives=2)
        assert select.chosen(found) == [1, 0]

    def test_a_quota_that_cannot_be_met_takes_what_there_is(self, select: SimpleNamespace) -> None:
        found = select.choose(self.TWO, [{9: 1.0}], quota="bm25=4", num_negatives=5)
        assert select.chosen(found) == [1, 5, 6, 0, 2]

    def test_where_given_ones_leave_too_few_who_is_not_taken_decides_nothing(
        self, select: SimpleNamespace
    ) -> None:
        """2 would be bm25's second and dense's one, were there room."""
        for others in ({1: 8.0, 2: 7.0}, {1: 8.0}):
            found = select.choose(
                [{"all": {0: 0.9, 1: 0.8, 2: 0.7}, "bm25": others, "dense": {0: 0.6, 2: 0.5}}],
                [{9: 1.0}],
                given=[[60, 61]],
                combine="any",
                quota=("bm25=2", "dense=1"),
                num_negatives=3,
            )
            assert select.chosen(found) == [60, 61, 1]


class TestReuse:
    def test_earlier_queries_take_what_they_prefer(self, select: SimpleNamespace) -> None:
        found = select.choose([{"dense": FIVE}] * 3, [{9: 1.0}] * 3, max_reuse=1, num_negatives=2)
        assert [select.chosen(found, query) for query in range(3)] == [[0, 1], [2, 3], [4]]
        assert select.reasons(found, 1)[0] == "max_reuse"
        assert outcomes(found) == ["full", "full", "short"]

    def test_it_counts_over_blocks_and_however_they_are_cut(self, select: SimpleNamespace) -> None:
        whole = select.choose(
            [{"dense": FIVE}] * 6, [{9: 1.0}] * 6, max_reuse=2, num_negatives=2, sampler="random"
        )
        selector = Selector(
            SelectConfig(
                relative_margin=None, max_reuse=2, num_negatives=2, sampler="random", shortfall="keep"
            ),
            ("", "positive"),
            select.corpus(),
        )
        docs: list[int] = []
        for begin, count in ((0, 1), (1, 3), (4, 2)):
            block = select.block([{"dense": FIVE}] * count, [{9: 1.0}] * count, first_query=begin)
            docs += selector.select(block, select.is_positive(block)).negatives.doc.tolist()
        assert docs == whole.negatives.doc.tolist()
        assert np.bincount(docs).max() == 2

    def test_no_other_order_of_queries_is_taken(self, select: SimpleNamespace) -> None:
        selector = Selector(SelectConfig(max_reuse=1), ("", "positive"), select.corpus())
        block = select.block([{"dense": FIVE}], [{9: 1.0}], first_query=3)
        selector.select(block, select.is_positive(block))
        with pytest.raises(ValueError, match="ascending"):
            selector.select(block, select.is_positive(block))

    def test_given_negatives_and_backfill_are_capped_too(self, select: SimpleNamespace) -> None:
        found = select.choose(
            [{"dense": FIVE}] * 3,
            [{9: 1.0}] * 3,
            given=[[50], [50], [50]],
            max_reuse=1,
            num_negatives=3,
            shortfall="backfill",
        )
        assert [select.reasons(found, query)[50] for query in range(3)] == ["given", "max_reuse", "max_reuse"]
        assert np.bincount(found.negatives.doc).max() == 1
        assert outcomes(found) == ["full"] * 3

    def test_backfill_takes_no_document_that_is_used_up(self, select: SimpleNamespace) -> None:
        ten = with_ten_documents(select)
        found = select.choose(
            [{"dense": FIVE}] * 4,
            [{9: 1.0}] * 4,
            corpus=ten,
            max_reuse=1,
            num_negatives=3,
            shortfall="backfill",
        )
        # Nine documents are no positives: three queries use each of them once, and none is left for the last.
        assert [len(select.chosen(found, query)) for query in range(4)] == [3, 3, 3, 0]
        assert sorted(found.negatives.doc.tolist()) == list(range(9))

    def test_quotas_hold_with_it(self, select: SimpleNamespace) -> None:
        two = {"dense": {0: 0.9, 1: 0.8, 2: 0.7}, "bm25": {5: 9.0, 1: 8.0, 2: 7.0}}
        found = select.choose([two] * 2, [{9: 1.0}] * 2, quota="bm25=1", max_reuse=1, num_negatives=2)
        # In the block's order bm25's are 1, 2, 5: the first query takes 1 by quota and 0, the second 2 and 5.
        assert [select.chosen(found, query) for query in range(2)] == [[1, 0], [2, 5]]

    def test_dropped_queries_use_nothing_up(self, select: SimpleNamespace) -> None:
        found = select.choose(
            [{"dense": {0: 0.9}}, {"dense": {0: 0.9, 1: 0.8}}],
            [{9: 1.0}] * 2,
            max_reuse=1,
            num_negatives=2,
            shortfall="drop",
        )
        assert [select.chosen(found, query) for query in range(2)] == [[], [0, 1]]


class TestShortfall:
    SCORES: ClassVar = [{"dense": FIVE}, {"dense": {0: 0.9}}, {"dense": {}}]
    POSITIVES = [{9: 0.95}] * 3

    def test_keep_keeps_the_row_that_lacks_one(self, select: SimpleNamespace) -> None:
        found = select.choose(self.SCORES, self.POSITIVES, num_negatives=4)
        assert [select.chosen(found, query) for query in range(3)] == [[0, 1, 2, 3], [0], []]
        assert outcomes(found) == ["full", "short", "empty"]
        assert found.message[1:] == ("1 of 4 negatives; only 1 candidate", "no candidates were found")
        assert found.short.tolist() == [False, True, True]
        assert found.missing.tolist() == [0, 3, 4]

    def test_drop_takes_the_query_out_and_says_so(self, select: SimpleNamespace) -> None:
        found = select.choose(self.SCORES, self.POSITIVES, num_negatives=4, shortfall="drop")
        assert found.negatives.query.tolist() == [0] * 4
        assert found.positives.query.tolist() == [0]
        assert outcomes(found) == ["full", "dropped", "dropped"]
        assert select.reasons(found, 1) == {0: "dropped"}

    def test_deepen_says_which_are_short(self, select: SimpleNamespace) -> None:
        found = select.choose(self.SCORES, self.POSITIVES, num_negatives=4, shortfall="deepen")
        assert (found.short.tolist(), outcomes(found)) == ([False, True, True], ["full", "short", "empty"])

    def test_backfill_fills_up_and_marks_it(self, select: SimpleNamespace) -> None:
        found = select.choose(self.SCORES, self.POSITIVES, num_negatives=4, shortfall="backfill")
        assert outcomes(found) == ["full"] * 3
        assert select.sources(found, 1) == ["mined", "backfill", "backfill", "backfill"]
        assert found.message == ("", "3 backfilled", "4 backfilled")
        assert len(set(select.chosen(found, 2))) == 4 and 9 not in select.chosen(found, 2)
        assert not found.short.any()

    def test_all_is_never_short(self, select: SimpleNamespace) -> None:
        found = select.choose(self.SCORES, self.POSITIVES, num_negatives="all")
        assert (outcomes(found), found.short.tolist()) == (["full", "full", "empty"], [False] * 3)

    def test_an_emptied_query_says_which_rule_did_it(self, select: SimpleNamespace) -> None:
        found = select.choose(
            [{"dense": {**FIVE, 9: 0.4}}], [{9: 0.4}], relative_margin=0.05, window="1:", num_negatives=4
        )
        assert outcomes(found) == ["empty"]
        assert found.message == ("all 6 candidates removed: relative_margin 4, positive 1, window 1",)

    def test_queries_on_the_block_list_get_nothing(self, select: SimpleNamespace) -> None:
        found = select.choose(
            [{"dense": FIVE}] * 2, [{0: 0.9}] * 2, left_out=[True, False], given=[[7], [7]], num_negatives=2
        )
        assert found.negatives.query.tolist() == [1, 1]
        assert (outcomes(found), found.message[0]) == (
            ["dropped", "full"],
            "on the list of queries to leave out",
        )
        assert set(select.reasons(found, 0).values()) == {"positive", "excluded_query"}
        assert not found.short[0]


class TestWhatIsShown:
    def test_of_several_retrievers_the_one_that_ranks_it_highest(self, select: SimpleNamespace) -> None:
        found = select.choose(
            [{"dense": {0: 0.9, 1: 0.8}, "bm25": {1: 9.0, 0: 8.0, 2: 7.0}}],
            [{9: {"dense": 1.0, "bm25": 10.0}}],
            num_negatives=3,
        )
        chosen = found.negatives
        assert [found.retrievers[number] for number in chosen.retriever] == ["dense", "bm25", "bm25"]
        assert chosen.rank.tolist() == [1, 1, 3]
        assert chosen.score.tolist() == [np.float32(0.9), 9.0, 7.0]
        assert chosen.positive_score.tolist() == [1.0, 10.0, 10.0]
        assert chosen.margin.tolist() == [np.float32(1 - float(np.float32(0.9))), 1.0, 3.0]

    def test_every_candidate_has_a_reason_and_the_counts_add_up(self, select: SimpleNamespace) -> None:
        found = select.choose([{"dense": FIVE}, {"dense": {}}], [{9: 0.75, 0: 0.9}, {8: 0.5}], margin=0.0)
        assert ((found.reason > 0) == (found.doc != NO_DOC)).all()
        assert found.counts.sum(axis=1).tolist() == [5, 0]

    def test_a_block_without_queries(self, select: SimpleNamespace) -> None:
        block = select.block([{"dense": FIVE}], [{9: 1.0}])
        nothing = type(block)(
            block.query[:0], block.doc[:0], {"dense": block.ranks["dense"][:0]},
            {"dense": block.scores["dense"][:0]}, block.positive[:0],
            {"dense": block.positive_scores["dense"][:0]}, block.p_false_negative[:0],
        )  # fmt: skip
        found = Selector(SelectConfig(), ("",), select.corpus()).select(nothing, np.zeros((0, 5), np.uint8))
        assert len(found.query) == len(found.negatives.doc) == len(found.positives.doc) == 0
