"""Two copies of one selection, trained by different seeds: how often does a trial call one of them better?

One command: `python benchmarks/trial_same.py`. nfcorpus with 30 % of its training labels, asked by its test
queries; the adapter is trained with as many seeds as all repeats need, and each repeat compares its own.
"""

from __future__ import annotations

import argparse
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from hardneg.plan.mine import changed_config, sources_again
from hardneg.plan.prepare import reopen
from hardneg.plan.retrievers import NOTHING_OWN
from hardneg.plan.trial_data import Data
from hardneg.plan.trial_evaluation import read_evaluation
from hardneg.plan.trial_lessons import Lessons
from hardneg.plan.trial_pool import pool
from hardneg.plan.trial_queries import Queries
from hardneg.progress import Silent
from hardneg.run_directory import RunDirectory
from hardneg.trialing import DEPTH, NDCG, Adapter, Arm, TrialOptions, budgets, compare, measured, seeded
from measuring import print_table, shared_data, write_result
from trial import mined

SEEDS = 3
"""Of each copy in a repeat: what `hardneg trial` has by default."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "hardneg-benchmark-trial")
    asked = parser.parse_args()
    folder, _ = mined("nfcorpus-30", asked.work / "nfcorpus-30")
    run = RunDirectory(folder)
    options = TrialOptions(evaluation_split="test")
    config = changed_config(run, {})
    prepared = reopen(run, config, Silent())
    asked_queries = read_evaluation(run, config.read, options, str(shared_data("nfcorpus")))
    queries = Queries.of(prepared, config, options, asked_queries, thorough=True)
    view = next(iter(queries.views()))
    found = cache(partial(sources_again, prepared, config, NOTHING_OWN))
    lessons, arm = Lessons(queries, view, config, found), Arm("margin", {"relative_margin": 0.05})
    lesson, data = (
        lessons.lesson(arm, lessons.chosen(arm)),
        Data(prepared, queries.table, config, NOTHING_OWN),
    )
    answers, documents = queries.answers(view.asked), pool(queries, data, view.asked).rows
    student = Adapter()
    budget = budgets(options, student.name, int(view.learning.sum()))[0]
    data.query_vectors(answers.query)  # opened before several threads ask for it

    def values(seed: int) -> np.ndarray:
        ranker = student.train(data, lesson, seeded(budget, seed))
        return measured(ranker(answers.query, documents, DEPTH), answers)[NDCG]

    with threadpool_limits(1), ThreadPoolExecutor(student.at_once) as threads:
        every = np.stack(list(threads.map(values, range(2 * SEEDS * asked.repeats))))
    copies = every.reshape(asked.repeats, 2, SEEDS, -1)
    apart = [len(compare(both, repeat).among([0, 1]).group([0, 1])) < 2 for repeat, both in enumerate(copies)]
    row = {
        "repeats": asked.repeats,
        "cannot be told apart": asked.repeats - sum(apart),
        "mean nDCG@10": round(float(every.mean()), 4),
        "deviation over seeds": round(float(every.mean(axis=1).std()), 5),
    }
    print_table([row])
    write_result("trial_same", [row])


if __name__ == "__main__":
    main()
