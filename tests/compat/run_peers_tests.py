"""Runs sentence-transformers' own tests of `mine_hard_negatives` against hardneg's.

    git clone --branch v6.2.0 https://github.com/huggingface/sentence-transformers
    python tests/compat/run_peers_tests.py sentence-transformers [--theirs] [--all] [pytest's arguments]

Its file is read from the checkout and never kept here. Of it the import is changed, nothing else; the models
that its fixtures fetch from the Hub are replaced by local ones. `--theirs` leaves the import as it is, to see
that the local models do. `--all` runs the excepted tests too, to see that each still fails.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest

FILE = Path("tests/util/test_hard_negatives.py")
IMPORT = "from sentence_transformers.util import is_datasets_available, mine_hard_negatives\n"
OURS = (
    "from sentence_transformers.util import is_datasets_available\n"
    "from hardneg.compat.sentence_transformers import mine_hard_negatives\n"
)
EXCEPTED = {
    "test_non_faiss_batched_search_matches_single_batch": "spies on the model's private `_similarity`, which "
    "exact search does not call; that batches of queries change nothing is tested here",
    "test_cache": "looks for file names of its own cache",
    "test_cache_respects_prompt": "looks for file names of its own cache; that a prompt decides a vector's "
    "key is tested here",
}
MODELS = """
import pytest
from run_peers_models import cross_encoder, sentence_transformer


@pytest.fixture(scope="session")
def static_retrieval_mrl_en_v1_model():
    return sentence_transformer()


@pytest.fixture(scope="session")
def paraphrase_distilroberta_base_v1_model():
    return sentence_transformer()


@pytest.fixture(scope="session")
def reranker_bert_tiny_model():
    return cross_encoder()
"""


class Outcomes:
    """A pytest plugin: how each test ended."""

    def __init__(self) -> None:
        self.of: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = report.nodeid.rpartition("::")[2]
        if report.when == "call" or report.outcome != "passed":
            self.of[name] = report.outcome


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--theirs", action="store_true")
    parser.add_argument("--all", action="store_true")
    asked, more = parser.parse_known_args()
    source = (asked.checkout / FILE).read_text("utf-8")
    if source.count(IMPORT) != 1:
        parser.error(f"{asked.checkout / FILE}: has not the import that is to be changed; look at it")
    os.environ.pop("CI", None)  # where its tests of several processes skip themselves
    excepted = {} if asked.theirs or asked.all else EXCEPTED
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / FILE.name
        path.write_text(source if asked.theirs else source.replace(IMPORT, OURS), "utf-8")
        (path.parent / "conftest.py").write_text(MODELS, "utf-8")
        outcomes = Outcomes()
        skipped = [f"--deselect={path.name}::{name}" for name in excepted]
        options = ["-q", "-p", "no:cacheprovider", "--rootdir", folder, "-c", os.devnull]
        pytest.main([str(path), *options, *skipped, *more], plugins=[outcomes])
    return report(outcomes.of, excepted)


def report(of: dict[str, str], excepted: dict[str, str]) -> int:
    counts = Counter(of.values())
    total = len(of) + len(excepted)
    print(f"passed {counts['passed']} of {total}; failed {counts['failed']}, skipped {counts['skipped']}, "
          f"excepted {len(excepted)}")  # fmt: skip
    for name, reason in excepted.items():
        print(f"  {name}: {reason}")
    return 0 if counts["passed"] == len(of) and of else 1


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    sys.exit(main())
