"""guard: how likely each candidate is a positive that nobody labelled, learned from the run's own labels."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hardneg.config import Config, GuardConfig
from hardneg.errors import UsageError
from hardneg.files import read_arrays, write_arrays
from hardneg.fingerprints import digest
from hardneg.guard import TextClasses, apply_rules
from hardneg.guard.fitted import (
    FOLDS,
    LIKELY,
    NEIGHBOURS,
    PROMOTED,
    SHIFTED,
    Company,
    Correction,
    Judge,
    Lexical,
    LikelyPositive,
    Model,
    Others,
    Sight,
    Space,
    Weights,
    calibrate,
    contamination,
    learn,
    near_weights,
    of_one_text,
    prior_model,
    prior_of,
    shipped_weights,
)
from hardneg.plan.guarding import label_digests, list_digests, text_classes, texts_mark
from hardneg.plan.labels import Judgments, read_judged
from hardneg.plan.prepare import Prepared, timed
from hardneg.plan.retrieve import base_parts, read_block
from hardneg.plan.retrievers import Source
from hardneg.protocols import Kind, Progress, Rule, Vectors
from hardneg.records import NO_DOC, Block, Bool, Float32, Float64, Int32, Int64
from hardneg.texts import document_texts, normalise, take, text_number

MOST_QUERIES = 3000
"""Queries that a run is fitted on, at most; they are chosen by the hash of their text."""
QUERIES_AT_ONCE = 2048
QUERIES_IN_CACHE = 256
"""At 200 candidates their numbers stay in the processor's cache."""
Blocks = Callable[[], Iterable[tuple[Block, Bool]]]
"""Blocks of queries, and bool (queries, width): candidates that are asked about."""
SHOWN = 0.1
"""Weights below that are not said; all are in the summary."""


@dataclass(frozen=True)
class Judged:
    """Judges the run's blocks and keeps what it said, part by part.

    sight   what the model looks at; opened only for a part that was not judged before
    rules   the hard exclusions
    classes int32 (documents,): those of one text
    mark    of everything that decides it
    people  what people judged, and what their judgments make of probabilities; None where there are none
    """

    prepared: Prepared
    model: Model
    fold: Int32
    sight: Callable[[], Sight]
    rules: Sequence[Rule]
    classes: Int32
    mark: str
    depth: int
    people: tuple[Judgments, Correction] | None = None

    def block(self, block: Block, name: str) -> Block:
        """The block with `p_false_negative`; `name` is the part's, under which log-odds are kept."""
        path = _folder(self.prepared, self.mark) / f"{name}.npz"
        if path.exists():
            log_odds: Float32 = read_arrays(path, self.mark)["log_odds"]
        else:
            judge = Judge(self.sight(), self.model, self.fold)
            found = judge.log_odds(block, askable(block, self.rules))
            log_odds = of_one_text(found, block.doc, self.classes).astype(np.float32)
            write_arrays(path, self.mark, log_odds=log_odds)
        chance = np.empty(log_odds.shape, np.float32)
        for start in range(0, len(chance), QUERIES_IN_CACHE):
            part = slice(start, start + QUERIES_IN_CACHE)
            chance[part] = self._chance(log_odds[part].astype(np.float64))
        if self.people is not None:
            judgments, _ = self.people
            pair, row, place = judgments.places(block)
            denied = ~judgments.relevant[pair] & np.isfinite(chance[row, place])
            chance[row[denied], place[denied]] = 0.0
        return replace(block, p_false_negative=chance)

    def _chance(self, log_odds: Float64) -> Float64:
        """The model's probabilities, set right by people's judgments where there are any."""
        chance = self.model.probability(log_odds)
        return chance if self.people is None else self.people[1].probability(chance)

    def rules_of(self, config: GuardConfig) -> list[Rule]:
        """What drops likely positives, where that is asked for; see `likely_rules`."""
        return likely_rules(self.model, self._chance, self.fold, config, self._chances)

    def _read(self, name: str) -> Block:
        judgments = None if self.people is None else self.people[0]
        return read_judged(self.prepared, judgments, name, self.depth)

    def _chances(self) -> Float32:
        """Of every candidate that was judged, float32 (candidates,)."""
        found = [
            self.block(self._read(name), f"{name}-{self.depth}").p_false_negative
            for name in base_parts(self.prepared.run)
        ]
        return np.concatenate([chance[np.isfinite(chance)] for chance in found])


def likely_rules(
    model: Model,
    probability: Callable[[Float64], Float64],
    fold: Int32,
    config: GuardConfig,
    chances: Callable[[], Float32],
) -> list[Rule]:
    """What makes likely positives positives, and what drops them, where that is asked for.

    probability  of log-odds: the model's, or that set right by judgments
    chances      the probabilities of the run's candidates, looked at for `promote_precision`

    Raises UsageError where the labels cannot say which cut keeps to a miss rate.
    """
    cut = np.full(len(fold), np.inf if config.max_p is None else config.max_p, np.float32)
    if config.max_miss_rate is not None:
        if not model.held:
            raise UsageError(f"--max-miss-rate needs labels to keep to it: {_NO_RATE[config.guard]}")
        cuts = model.cuts(config.max_miss_rate)
        if np.isneginf(cuts).any():
            raise UsageError(
                f"--max-miss-rate {config.max_miss_rate:g}: the labels of too few queries can be left "
                "out to keep to so low a rate; ask for a higher one, or use --max-p"
            )
        of_fold = probability(cuts).astype(np.float32)
        cut = np.minimum(cut, of_fold[fold])
    found: list[Rule] = []
    if (promoted := _promoted_from(config, chances)) is not None:
        found.append(LikelyPositive(PROMOTED, np.full(len(fold), promoted, np.float32)))
    return [*found, LikelyPositive(LIKELY, cut)] if np.isfinite(cut).any() else found


_FEW = "too few queries here have several positives, one of them found; use --max-p"
_NO_RATE = {
    "auto": f"{_FEW}, or --guard fit",
    "fit": _FEW,
    "prior": "--guard prior looks at none of them; use --max-p, or --guard auto",
}
"""Why none can be kept to, by how the guard judges."""


def _promoted_from(config: GuardConfig, chances: Callable[[], Float32]) -> float | None:
    """The probability from which candidates become positives; None where none does."""
    if config.promote_precision is None:
        return config.promote
    every = np.sort(chances())[::-1]
    right = np.flatnonzero(
        np.cumsum(every, dtype=np.float64) >= config.promote_precision * np.arange(1, len(every) + 1)
    )
    return float(every[right[-1]]) if len(right) else float(np.inf)


def _folder(prepared: Prepared, mark: str) -> Path:
    return prepared.run.guard / "judged" / mark


def judged_folder(prepared: Prepared, config: Config, depth: int) -> Path:
    """Where the run's judge keeps its model and what it said, by the run's own labels."""
    return _folder(prepared, _mark(prepared, config, depth))


def _mark(prepared: Prepared, config: Config, depth: int) -> str:
    """Of everything that decides what is said of candidates: a name for a folder."""
    run = prepared.run
    first, whole = shipped_weights()
    asked = config.guard.model_dump(
        mode="json", exclude={"max_miss_rate", "max_p", "promote", "promote_precision", "labels"}
    )
    found = {
        "search": run.stage("search")["fingerprint"],
        "rescore": run.stage("rescore").get("fingerprint") if _sees_scorers(config) else None,
        "depth": depth,
        "rules": [asked, list_digests(config)],
        "texts": texts_mark(prepared, config),
        "weights": [first.as_dict(), whole.as_dict()],
        **({"view": prepared.view} if prepared.view else {}),
    }
    return digest(found)[:20]


def askable(block: Block, rules: Sequence[Rule]) -> Bool:
    """bool (queries, width): candidates that no hard exclusion speaks of."""
    found: Bool = block.present & (apply_rules(block, rules) == 0)
    return found


def judged(
    prepared: Prepared,
    config: Config,
    rules: Sequence[Rule],
    classes: TextClasses,
    found: Callable[[], Sequence[Source]],
    depth: int,
) -> Judged | None:
    """The run's judge, learned where it was not before; None where the guard is off.

    rules  the hard exclusions
    found  the run's retrievers: their vectors are what similarities are taken in
    """
    if config.guard.guard == "off":
        return None
    run, mark = prepared.run, _mark(prepared, config, depth)
    first, whole = shipped_weights()
    fold = folds_of(classes)
    sight = cache(partial(sight_of, prepared, config, found, first))
    path = _folder(prepared, mark) / "model.npz"
    if path.exists():
        model = Model.load(path, mark)
    else:
        with timed(run, "guard fit", prepared.progress):
            model = _learned(prepared, config, sight(), rules, fold, whole, depth)
        model.save(path, mark)
        _say(model, config.guard, prepared.progress)
    return Judged(prepared, model, fold, sight, rules, classes.document, mark, depth)


def _say(model: Model, config: GuardConfig, progress: Progress) -> None:
    """By what likely positives are told, the weightiest first."""
    if not model.fitted:
        why = "" if config.guard == "prior" else ", for too few labels here can be left out and looked at"
        progress.say(f"guard: shipped weights{why}")
        return
    weighty = sorted(model.mean_weights().items(), key=lambda item: -abs(item[1]))
    shown = [(name, weight) for name, weight in weighty if abs(weight) >= SHOWN]
    progress.say("guard: fitted on the labels; what one standard deviation more counts, in log-odds:")
    for name, weight in shown:
        progress.say(f"  {name:<26}{weight:+.2f}")
    if few := len(weighty) - len(shown):
        progress.say(f"  {few} more count less than {SHOWN:g} each")


def _learned(
    prepared: Prepared,
    config: Config,
    sight: Sight,
    rules: Sequence[Rule],
    fold: Int32,
    prior: Weights,
    depth: int,
) -> Model:
    chosen, labelled = fitted_on(prepared), lowest_hashes(prepared, 1, SHIFTED)
    blocks, others = (partial(_sampled, prepared, rules, of, depth) for of in (chosen, labelled))
    return learned(config.guard, blocks, others, sight, fold, prior, int(chosen.sum()))


def learned(
    config: GuardConfig,
    blocks: Blocks,
    others: Blocks,
    sight: Sight,
    fold: Int32,
    prior: Weights,
    queries: int,
) -> Model:
    """The model in this configuration's mode.

    blocks, queries  as `guard.fitted.learn` takes them
    others           as `guard.fitted.prior_of` takes them
    """
    model, completeness = prior_model(prior), config.label_completeness
    if config.guard != "prior":
        must_fit = config.guard == "fit"
        model = learn(
            blocks(), sight, prior, fold, queries=queries, must_fit=must_fit, completeness=completeness
        )
    if model.fitted or completeness is None:
        return model
    return prior_of(prior, others(), sight, fold, completeness)


def _sampled(
    prepared: Prepared, rules: Sequence[Rule], chosen: Bool, depth: int
) -> Iterator[tuple[Block, Bool]]:
    for name in base_parts(prepared.run):
        block = read_block(prepared, name, depth)
        part = block.rows(np.flatnonzero(chosen[block.query]))
        if len(part.query):
            yield part, askable(part, rules)


def folds_of(classes: TextClasses) -> Int32:
    """int32 (queries,): by the hash of the normalised text, so that queries of one text share a fold."""
    # The stored hash is `text_number`'s with its bytes turned: no text is normalised again.
    return (classes.keys[classes.query].byteswap() % np.uint64(FOLDS)).astype(np.int32)


def _hashes(prepared: Prepared, rows: Int64) -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]]:
    texts = take(prepared.collection.queries["text"], rows).to_pylist()
    return np.array([text_number(normalise(text)) for text in texts], np.uint64)


def fitted_on(prepared: Prepared) -> Bool:
    """bool (queries,): those with several positives, the MOST_QUERIES of the lowest hashes."""
    return lowest_hashes(prepared, 2, MOST_QUERIES)


def lowest_hashes(prepared: Prepared, positives: int, most: int) -> Bool:
    """bool (queries,): those with so many positives at least, the `most` of the lowest hashes."""
    chosen: Bool = prepared.positives.counts >= positives
    rows = np.flatnonzero(chosen)
    if len(rows) > most:
        order = np.argsort(_hashes(prepared, rows) // FOLDS, kind="stable")
        chosen[rows[order[most:]]] = False
    return chosen


# -- what people judged -----------------------------------------------------------------------------------


def with_judgments(
    judge: Judged,
    knowing: Prepared,
    config: Config,
    rules: Sequence[Rule],
    found: Callable[[], Sequence[Source]],
    judgments: Judgments,
) -> Judged:
    """The judge that looks at judged positives as known ones, and is set right by the judgments.

    knowing  the run with judged positives among its positives
    rules    the hard exclusions with them

    Its weights and ratio stay those of the user's own labels. Judged positives are no sample of all:
    they are the likeliest, and to count them as labels would say that hardly any positive lacks one.
    """
    first, _ = shipped_weights()
    sight = cache(partial(sight_of, knowing, config, found, first))
    mark = digest([judge.mark, sorted(label_digests(config).values())])[:20]
    seeing = replace(judge, prepared=knowing, sight=sight, rules=rules, mark=mark)
    return replace(seeing, people=(judgments, _correction(seeing, judgments)))


def _correction(judge: Judged, judgments: Judgments) -> Correction:
    """What the judged pairs say of the model's probabilities."""
    path = _folder(judge.prepared, judge.mark) / "judged-pairs.npz"
    if not path.exists():
        pair, log_odds = _as_candidates(judge, judgments)
        write_arrays(path, judge.mark, pair=pair, log_odds=log_odds)
    stored = read_arrays(path, judge.mark)
    pair, log_odds = stored["pair"], stored["log_odds"]
    chance = judge.model.probability(log_odds)
    return calibrate(chance, judgments.relevant[pair], judgments.weight[pair])


def _as_candidates(judge: Judged, judgments: Judgments) -> tuple[Int64, Float64]:
    """Numbers of the judged pairs that are candidates no hard exclusion speaks of, and their log-odds.

    A pair judged relevant is looked at as if it were not a known positive: left out of its query's positives,
    by weights fitted without its query. So its own judgment is no part of what it is compared with.
    """
    pairs, odds = [np.zeros(0, np.int64)], [np.zeros(0)]
    for name in base_parts(judge.prepared.run):
        block = read_judged(judge.prepared, judgments, name, judge.depth)
        pair, row, place = judgments.places(block)
        part, number = block.rows(row), np.arange(len(row))
        candidate = askable(part, judge.rules)
        asked = candidate[number, place] | judgments.relevant[pair]
        candidate[number, place] = asked
        own = part.positive == part.doc[number, place][:, None]
        part = replace(part, positive=np.where(own, np.int32(NO_DOC), part.positive))
        found = Judge(judge.sight(), judge.model, judge.fold).log_odds(part, candidate)[number, place]
        pairs.append(pair[asked])
        odds.append(found[asked])
    return np.concatenate(pairs), np.concatenate(odds)


# -- what it looks at -------------------------------------------------------------------------------------


def sight_of(
    prepared: Prepared, config: Config, found: Callable[[], Sequence[Source]], first: Weights
) -> Sight:
    """By the labels of `prepared`."""
    lexical = _lexical(prepared, config)
    words = Space("words", lexical.query, lexical.document, whole=True)
    spaces = [_space(source.name, source.vectors) for source in found() if source.vectors is not None]
    positives = prepared.positives
    first_of_text = _first_of_text(text_classes(prepared, config).query)
    near, weight = _near(prepared, spaces[0] if spaces else words, first_of_text)
    others = Others(positives, near, weight, prepared.collection.corpus.num_rows)
    company = Company(others, first_of_text)
    return Sight(tuple(spaces), words, company, first, _sees_scorers(config))


def _sees_scorers(config: Config) -> bool:
    """Whether the guard looks at a scorer's scores: it would need them all."""
    return config.select.rescore != "lazy"


def _first_of_text(classes: Int32) -> Int32:
    """int32 (queries,): the first query of each one's text."""
    _, row, place = np.unique(classes, return_index=True, return_inverse=True)
    return row[place].astype(np.int32)


def _space(name: str, vectors: Callable[[Kind], Vectors]) -> Space:
    return Space(name, vectors("query").take, vectors("document").take)


def _lexical(prepared: Prepared, config: Config) -> Lexical:
    run = prepared.run
    mark = texts_mark(prepared, config)
    if run.stage("lexical vectors").get("fingerprint") != mark or not Lexical.written(run.guard):
        with (
            timed(run, "lexical vectors", prepared.progress),
            run.doing_stage("lexical vectors", fingerprint=mark),
        ):
            texts = document_texts(prepared.collection.corpus, config.encode.join_title)
            Lexical.write(texts, prepared.collection.queries["text"], run.guard, mark, prepared.progress)
    return Lexical.open(run.guard, mark)


def _near(prepared: Prepared, space: Space, first: Int32) -> tuple[Int32, Float32]:
    """Each query's nearest queries of other texts and their weights: int32 and float32 (queries, NEIGHBOURS).

    first  int32 (queries,): the first query of each one's text; of a text no other is near
    """
    run = prepared.run
    texts = hashlib.blake2b(first.tobytes()).hexdigest()
    mark = digest({"search": run.stage("search")["fingerprint"], "space": space.name, "texts": texts})
    path = run.guard / "near-queries.npz"
    if run.stage("near queries").get("fingerprint") == mark and path.exists():
        stored = read_arrays(path, mark)
        return stored["near"], stored["weight"]
    with timed(run, "near queries", prepared.progress), run.doing_stage("near queries", fingerprint=mark):
        near, similarity = _nearest(space, first, prepared)
        weight = near_weights(similarity)
        write_arrays(path, mark, near=near, weight=weight)
    return near, weight


def _nearest(space: Space, first: Int32, prepared: Prepared) -> tuple[Int32, Float32]:
    """Rows and cosines of each query's nearest others, the nearest first."""
    count = len(first)
    width = min(NEIGHBOURS, max(len(np.unique(first)) - 1, 0))
    near = np.full((count, width), NO_DOC, np.int32)
    similarity = np.zeros((count, width), np.float32)
    with prepared.progress.track("near queries", count, "queries") as advance:
        for start in range(0, count if width else 0, QUERIES_AT_ONCE):
            rows = np.arange(start, min(start + QUERIES_AT_ONCE, count), dtype=np.int32)
            best, row = _nearest_of(space, rows, first, width)
            near[rows], similarity[rows] = row, best
            advance(len(rows))
    return near, similarity


def _nearest_of(space: Space, rows: Int32, first: Int32, width: int) -> tuple[Float32, Int32]:
    own = space.queries(rows)
    best = np.full((len(rows), width), -np.inf, np.float32)
    row = np.full((len(rows), width), NO_DOC, np.int32)
    for start in range(0, len(first), QUERIES_AT_ONCE):
        others = np.arange(start, min(start + QUERIES_AT_ONCE, len(first)), dtype=np.int32)
        product = own @ space.queries(others).T
        product[first[rows][:, None] == others[None, :]] = -np.inf
        product[:, first[others] != others] = -np.inf
        both = np.concatenate([best, product], axis=1)
        both_row = np.concatenate([row, np.broadcast_to(others, product.shape)], axis=1)
        top = np.argpartition(-both, width - 1, axis=1)[:, :width]
        best, row = np.take_along_axis(both, top, axis=1), np.take_along_axis(both_row, top, axis=1)
    order = np.lexsort((row, -best), axis=1)
    return np.take_along_axis(best, order, axis=1), np.take_along_axis(row, order, axis=1)


# -- what it came to --------------------------------------------------------------------------------------


def guard_summary(
    judge: Judged | None,
    tables: Mapping[str, pa.Table],
    without: Mapping[str, Any] | None,
    config: GuardConfig,
) -> dict[str, Any] | None:
    """How the guard judged, what is left among the mined negatives by its estimate, and what it cost.

    without  hardness of what would have been chosen had the guard neither dropped nor promoted any; None
             where it does neither
    """
    if judge is None:
        return None
    negatives = tables["negatives"].select(["query_id", "source", "p_false_negative"])
    mined = negatives.filter(pc.equal(negatives["source"].cast(pa.string()), "mined"))
    mined = mined.filter(pc.is_valid(mined["p_false_negative"]))
    ids = mined["query_id"].combine_chunks().indices.to_numpy()  # one dictionary, each query once
    chance = mined["p_false_negative"].to_numpy().astype(np.float64)
    model = judge.model
    correction = None if judge.people is None else judge.people[1]
    spread = model.spread if correction is None or not chance.any() else correction.spread(chance)
    left = contamination(chance, ids.astype(np.int64), spread)
    known = model.fitted or config.label_completeness is not None
    stands = known and correction is None  # a correction leaves the model's own share behind
    found: dict[str, Any] = {
        "judged_by": "fit" if model.fitted else "prior",
        "label_completeness": 1 / (1 + model.ratio) if stands else None,
        "false_negatives": None if left is None else asdict(left),
    }
    if correction is not None:
        found["calibration"] = {"judged": correction.judged, "shift": correction.shift}
    if model.fitted:
        found["weights"] = {name: round(weight, 4) for name, weight in model.mean_weights().items()}
    promoted = tables["positives"]["p_false_negative"].drop_null().to_numpy().astype(np.float64)
    if config.promoting:
        right = float(promoted.mean()) if len(promoted) else None
        found["promoted"] = {"total": len(promoted), "precision": right}
    return found if without is None else {**found, "hardness_without": dict(without)}
