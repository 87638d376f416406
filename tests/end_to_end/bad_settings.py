"""Settings that cannot be right: config files, and every flag out of its domain."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bad_input import GOOD, Case, Content, Fixture, Kept, folder, link_to, long_line, mine, pipe

# -- config files -----------------------------------------------------------------------------------------

LAUGHS = "a: &a [lol]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{last}'] * 9)}]\n"
    for last, name in zip("abcdefghi", "bcdefghij", strict=True)
)


def config(name: str, content: Content, *says: str, code: int = 2) -> Case:
    """`mine` with this file as its --config."""
    files: dict[str, Content] = {"pairs.jsonl": GOOD, "c.yaml": content}
    kept = Kept(judgments=5) if code == 0 else None
    return Case(f"config: {name}", mine(flags="--config c.yaml"), says, files, code, kept)


CONFIGS = [
    config("broken YAML", "depth: [1, 2\n", "c.yaml, line 2", "`key: value`"),
    config("a tab for spaces", "depth:\n\t- 1\n", "c.yaml, line 2"),
    config("a list", "- depth\n", "c.yaml", "holds no keys"),
    config("a word", "depth", "c.yaml", "holds no keys"),
    config("an empty file", "", "c.yaml", "holds no keys"),
    config("an unknown key", "dept: 3\n", "unknown key 'dept'", "did you mean 'depth'"),
    config("a key twice", "depth: 3\nseed: 1\ndepth: 4\n", "c.yaml, line 3", "'depth' stands there twice"),
    config("a key twice, spelt in two ways", "min-chars: 3\nmin_chars: 4\n", "c.yaml", "'min_chars'",
             "twice"),
    config("a list for a key", "? [a, b]\n: 1\n", "c.yaml, line 1"),
    config("aliases without end", LAUGHS, "c.yaml, line 2", "alias"),
    config("nested 100,000 deep", "depth: " + "[" * 100_000, "c.yaml", "nested too deep"),
    config("a number of a million digits", "depth: " + "9" * 1_000_000, "c.yaml", "4,300 digits"),
    config("a date that is none", "seed: 2024-13-45\n", "seed"),
    config("a date", "seed: 2024-01-02\n", "seed", "2024-01-02"),
    config("a Python object", "depth: !!python/object/apply:os.system ['true']\n", "c.yaml, line 1"),
    config("binary", "depth: !!binary aGVsbG8=\n", "c.yaml, line 1"),
    config("not UTF-8", b"model: caf\xe9\n", "c.yaml", "is not UTF-8"),
    config("UTF-16", "depth: 3\n".encode("utf-16"), "c.yaml", "is not UTF-8"),
    config("NUL bytes", b"depth: 3\0\n", "c.yaml"),
    config("NUL in a value", 'qrels: "a\\0b"\n', "qrels", "NUL"),
    config("half a surrogate pair", 'query_prompt: "\\ud800"\n', "query_prompt", "surrogate"),
    config("two documents", "depth: 3\n---\ndepth: 4\n", "c.yaml, line 2"),
    config("a million lines", "# a note\n" * 1_000_000 + "seed: 1\n", "c.yaml", "longer than 1 MiB"),
    config("a folder", folder, "c.yaml", "is a folder"),
    config("a pipe", pipe, "c.yaml", "a pipe"),
    config("an endless device", link_to("/dev/zero"), "c.yaml", "a device"),
    config("a symlink loop", link_to("c.yaml"), "c.yaml", "links to itself"),
    config("none", link_to("gone.yaml"), "c.yaml", "is no file"),
    config("text for a number", "depth: many\n", "depth", "'many'", "whole number"),
    config("true for a number", "depth: true\n", "depth", "true and false"),
    config("half for a number", "depth: 2.5\n", "depth", "whole number"),
    config("NaN", "margin: .nan\n", "margin"),
    config("infinity", "max_score: .inf\n", "max_score"),
    config("a word for a truth value", "same_lang: perhaps\n", "same_lang", "true or false"),
    config("a list for a text", "model: [a, b]\n", "model", "text"),
    config("an object for a list", "negative_column: {a: b}\n", "negative_column"),
    config("a number for a file's name", "qrels: 5\n", "qrels", "text"),
    config("a list for a flag of the command", "name: [b]\n", "name", "must be text"),
    *(Case(f"config: {name}", "mine pairs.jsonl -q --run-dir run --config c.yaml",
           ("retriever: must be a list of texts",), {"pairs.jsonl": GOOD, "c.yaml": f"retriever: {value}\n"})
      for name, value in (("no retriever at all", ""), ("a number for retrievers", "5"))),
    config("the source", "source: other.jsonl\n", "unknown key 'source'"),
    config("what only Python takes", "engine: 5\n", "unknown key 'engine'"),
    config("a run directory with NUL", 'run_dir: "a\\0b"\n', "run_dir", "NUL"),
    config("a run directory that is no text", "run_dir: {a: 1}\n", "run_dir", "must be text"),
    config("of a run, with an unknown key", "{\"config\": {\"dept\": 1}}", "unknown key 'dept'"),
    config("a byte order mark and CRLF", b"\xef\xbb\xbfseed: 3\r\nwindow: 0:20\r\n", code=0),
]  # fmt: skip


# -- flags of mine ----------------------------------------------------------------------------------------

FILES: dict[str, Content] = {"pairs.jsonl": GOOD}


def flag(given: str, *says: str, name: str = "", code: int = 2) -> Case:
    return Case(f"mine {name or given}", mine(flags=given), says, FILES, code)


def _long(length: int) -> str:
    return "n" * length


MINE = [
    flag("--depth 0", "depth", "must be 1 or more", "0"),
    flag("--depth -3", "depth", "-3"),
    flag("--depth 2.5", "--depth", "whole number"),
    flag("--depth many", "--depth", "whole number"),
    Case("mine --depth over the corpus", mine(flags="--depth 2000000000"), (), FILES, 0, Kept(judgments=5)),
    Case("mine --window over the corpus", mine(flags="--window 0:999999999"), (), FILES, 0,
             Kept(judgments=5)),
    Case("mine a window below the corpus's end", mine(flags="--window 100:200"), (), FILES, 0,
             Kept(judgments=5)),
    Case("mine with every candidate excluded", mine(flags="--exclude-docs all.txt"), (),
         {**FILES, "all.txt": "".join(f"thing {n} is number {n}\n" for n in range(5))}, 0, Kept(judgments=5)),
    Case("mine --min-chars beyond every text", mine(flags="--min-chars 1000000"), (), FILES, 0,
             Kept(judgments=5)),
    Case("mine --exclude-queries of all queries", mine(flags="--exclude-queries all.txt"), (),
         {**FILES, "all.txt": "".join(f"what is thing {n}?\n" for n in range(5))}, 0, Kept(judgments=5)),
    flag("--depth " + "9" * 30, "depth", name="--depth of 30 digits"),
    flag("--depth " + "9" * 5000, "depth", name="--depth of 5,000 digits"),
    *(flag(f"--{name} ''", name.replace("-", "_"), "must not be empty", name=f"--{name} of nothing")
      for name in ("qrels", "corpus", "labels", "exclude-docs", "exclude-queries", "cross-encoder", "device",
                   "cache-dir")),
    flag("--min-relevance 1e308", "min_relevance", "1e+38 or less"),
    flag("--bands 99999999999", "bands", "must be below"),
    Case("mine with more bands than scores", mine(flags="--sampler stratified --bands 2000000000"), (), FILES,
         0, Kept(judgments=5)),
    Case("mine --num-negatives over the corpus", mine(flags="--num-negatives 999999999"), (), FILES, 0,
         Kept(judgments=5)),
    Case("mine --num-negatives over the corpus, each used twice",
         mine(flags="--num-negatives 999999999 --max-reuse 2"), (), FILES, 0, Kept(judgments=5)),
    flag("--limit-queries 0", "limit_queries"),
    flag("--max-length 0", "max_length"),
    flag("--batch-size -1", "batch_size"),
    flag("--window 210:10", "window", "START must be below STOP"),
    flag("--window 10:10", "window", "START must be below STOP"),
    flag("--window -5:10", "window", "'-5:10' is no window"),
    flag("--window ²:9", "window", "is no window", name="--window of a superscript"),
    flag("--window 1:2:3", "window", "is no window"),
    flag("--window 0:" + "9" * 5000, "window", name="--window to 5,000 digits"),
    flag("--num-negatives 0", "num_negatives", "`all`"),
    flag("--num-negatives ²", "num_negatives", "`all`", name="--num-negatives of a superscript"),
    flag("--num-negatives some", "num_negatives", "`all`"),
    flag("--margin nan", "margin", "finite"),
    flag("--relative-margin inf", "relative_margin", "finite"),
    flag("--max-score nan", "max_score", "finite"),
    flag("--missing-positive-score -inf", "missing_positive_score", "finite"),
    flag("--min-relevance nan", "min_relevance", "finite"),
    flag("--min-score 2 --max-score 1", "min_score 2 is above max_score 1"),
    flag("--temperature 0", "temperature"),
    flag("--sampler softmax --temperature -1", "temperature"),
    flag("--simans-a nan", "simans_a"),
    flag("--bands 0", "bands"),
    flag("--diversity 1.5", "diversity"),
    flag("--max-reuse 0", "max_reuse"),
    flag("--seed -1", "seed"),
    flag("--seed " + str(2**63), "seed", name="--seed 2**63"),
    flag("--quota bm25", "quota", "NAME=N"),
    flag("--quota bm25=-1", "quota"),
    flag("--quota bm25=²", "quota", name="--quota of a superscript"),
    flag("--quota other=2", "quota", "other"),
    flag("--near-duplicate 2", "near_duplicate"),
    flag("--near-duplicate nan", "near_duplicate"),
    flag("--min-chars -1", "min_chars"),
    flag("--max-p 0", "max_p"),
    flag("--max-miss-rate 1", "max_miss_rate"),
    flag("--promote 2", "promote"),
    flag("--label-completeness 0", "label_completeness"),
    flag("--max-p 0.5", "guard off", "max_p"),
    flag("--reference median", "--reference", "median"),
    flag("--sampler best", "--sampler", "best"),
    flag("--shortfall cry", "--shortfall", "cry"),
    flag("--on-bad-row ignore", "--on-bad-row", "ignore"),
    flag("--score-by bm52", "score_by", "bm52"),
    flag("--order-by nothing", "order_by", "nothing"),
    flag("--retriever ''", "retriever", name="--retriever of nothing"),
    flag("--retriever bm52", "did you mean 'bm25'"),
    flag("--retriever bm25 --retriever bm25", "two retrievers are called 'bm25'"),
    flag("--retriever run:", "write run:PATH"),
    flag("--retriever dense:", "write dense:MODEL"),
    flag("--retriever run:gone.trec", "gone.trec", "no file"),
    flag("--retriever vectors:gone", "gone", "no folder"),
    flag("--retriever cross_encoder=bm25", "cross_encoder"),
    flag("--prompt query=x", "prompt", "NAME:query=TEXT"),
    flag("--recipe bgee", "did you mean 'bge'"),
    flag("--name ''", "selection name ''", name="--name of nothing"),
    flag("--name ..", "selection name '..'"),
    flag("--name a/b", "selection name 'a/b'"),
    flag("--name " + _long(300), "selection name", "at most", name="--name of 300 letters"),
    flag("--dept 3", "--dept", "--depth"),
    flag("--depth", "--depth"),
    flag("--config", "--config"),
    flag("--to trec", "--to FORMAT and --output FILE go together"),
    flag("--to csv --output x.csv", "--to", "csv"),
    flag("--query-column nothing", "nothing"),
    flag("--negative-column nothing", "nothing"),
    flag("--query-column ''", "no column ''", name="--query-column of nothing"),
    flag("--qrels gone.tsv", "qrels"),
    flag("--corpus gone.jsonl", "gone.jsonl", "no such file"),
    flag("--exclude-docs gone.txt", "gone.txt"),
    flag("--exclude-queries gone.txt", "gone.txt"),
    flag("--labels gone.csv", "gone.csv", "no file"),
    flag("--cross-encoder ./gone", "gone", name="--cross-encoder that is not there", code=1),
    flag("--cross-encoder-batch-size 0", "cross_encoder_batch_size"),
    flag("--retriever dense --model ./gone", "gone", name="--model that is not there", code=1),
    flag("--retriever dense --model ''", "model", name="--model of nothing"),
    flag("--retriever dense --model pairs.jsonl", "pairs.jsonl", "is a file"),
    flag("--retriever dense --backend cuda", "--backend", "cuda"),
    flag("--cache-dir pairs.jsonl --retriever dense", "pairs.jsonl", name="--cache-dir that is a file",
         code=1),
    flag("more.jsonl", "more.jsonl", name="two sources"),
]  # fmt: skip


def _pipe_for_manifest(path: Path, fixture: Fixture) -> None:
    finished(path, fixture)
    (path / "manifest.json").unlink()
    pipe(path / "manifest.json", fixture)


def _where(path: Path, fixture: Fixture) -> None:
    path.mkdir()
    (path / "my notes.txt").write_text("dear diary")


PLACES = [
    Case("a run directory that is a file", mine(flags="").replace("--run-dir run", "--run-dir pairs.jsonl"),
         ("pairs.jsonl", "--run-dir"), FILES),
    Case("a run directory with other files in it", mine(), ("run", "not empty", "my notes.txt", "--run-dir"),
         {**FILES, "run": _where}),
    Case("a run directory that links to itself", mine(), ("run", "--run-dir"), {**FILES,
             "run": link_to("run")}),
    Case("a run directory below a file", mine().replace("--run-dir run", "--run-dir pairs.jsonl/run"),
         ("pairs.jsonl", "--run-dir"), FILES),
    Case("a run directory of a name too long", mine().replace("--run-dir run", f"--run-dir {_long(300)}"),
         ("--run-dir",), FILES),
    Case("mine into a run whose manifest is a pipe", mine(), ("manifest.json", "a pipe"),
         {**FILES, "run": _pipe_for_manifest}, code=1),
    Case("an output whose name is not UTF-8", mine(flags="--to flagembedding --output o\udcff.jsonl"), (),
         FILES, 0, Kept(judgments=5)),
    Case("the source as the output", mine(flags="--to flagembedding --output pairs.jsonl"),
         ("pairs.jsonl", "input was read from it", "--output"), FILES),
    Case("the run directory as the output", mine(flags="--to flagembedding --output run"),
         ("run", ".jsonl"), FILES),
    Case("an output of another suffix", mine(flags="--to flagembedding --output out.xml"),
         ("out.xml", ".jsonl"), FILES),
    Case("an output below a file", mine(flags="--to flagembedding --output pairs.jsonl/out.jsonl"),
         ("pairs.jsonl", "--output"), FILES, code=1),
]  # fmt: skip


# -- a finished run ---------------------------------------------------------------------------------------


def finished(path: Path, fixture: Fixture) -> None:
    import shutil

    shutil.copytree(fixture("finished"), path)


def on_run(command: str, *says: str, name: str = "", code: int = 2, **files: Content) -> Case:
    made = {"run": finished, **{key.replace("__", "."): value for key, value in files.items()}}
    return Case(name or command, command, says, made, code)


RUNS = [
    on_run("select gone", "gone", "no run directory"),
    on_run("select run/corpus.parquet", "corpus.parquet", "no run directory"),
    on_run("select ''", "no run directory", name="select of nothing"),
    on_run("select run --name a/b", "selection name 'a/b'"),
    on_run("select run --window 3:1", "window"),
    on_run("select run --depth 3", "--depth"),
    on_run("select run --score-by nothing", "nothing"),
    on_run("select run --from-trial", "trial"),
    on_run("select run --preview --from-trial", "--from-trial"),
    on_run("select run --preview --window 0:500", "depth"),
    on_run("select run --sampler diverse", "diverse", "vectors"),
    on_run("select run --recipe nothing", "no recipe 'nothing'"),
    on_run("select run --config c.yaml", "'windw'", "did you mean 'window'", name="select: an unknown key",
             c__yaml="windw: 1:3\n"),
    on_run("export run --to flagembedding", "--output"),
    on_run("export run --to csv --output x.csv", "--to"),
    on_run("export run --to trec --output run", "run is a folder"),
    on_run("export run --to flagembedding --output run/corpus.parquet", "corpus.parquet", "run"),
    on_run("export run --to trec --output run/manifest.json", "manifest.json"),
    on_run("export run --to flagembedding --output run/candidates/x.jsonl", "x.jsonl", "the run's own"),
    on_run("export run --to flagembedding --output x.jsonl --num-negatives 0", "num_negatives"),
    on_run("export run --to flagembedding --output x.jsonl --selection nothing", "no selection 'nothing'"),
    on_run("export run --to flagembedding --output x.jsonl --selection ../default", "selection name"),
    on_run("export gone --to trec --output x.trec", "no run directory"),
    on_run("export run --to st-n-tuple --output x.jsonl --prompts", "prompts"),
    on_run("inspect run --query nothing", "'nothing'", "query"),
    on_run("inspect run --query \udcff", "has no query", name="inspect: what is not UTF-8"),
    on_run("export run --to trec --output o", "o", "links to itself", name="export to a link to itself",
           o=link_to("o")),
    on_run("inspect run", "--query"),
    on_run("inspect run --query 1 --selection nothing", "no query '1'"),
    on_run("inspect gone --query 1", "no run directory"),
    on_run("suspects run -n 0", "n"),
    on_run("suspects run -n -5", "n"),
    on_run("suspects run --seed -1", "seed"),
    on_run("suspects run --output x.xml", "x.xml", ".csv"),
    on_run("suspects run --output run", "run"),
    on_run("suspects run --output run/corpus.parquet", "corpus.parquet"),
    on_run("suspects run --output p.csv", "p.csv", "a pipe", name="suspects to a pipe", p__csv=pipe),
    on_run("suspects run --output p.csv", "p.csv", "a device", name="suspects to an endless device",
           p__csv=link_to("/dev/zero")),
    on_run("suspects run --selection nothing", "no selection 'nothing'"),
    on_run("suspects gone", "no run directory"),
    on_run("audit run --hide 0", "hide"),
    on_run("audit run --hide nan", "hide"),
    on_run("audit run --repeats 1000", "repeats"),
    on_run("audit run --max-queries 0", "max_queries"),
    on_run("audit run --run-dir other", "--run-dir"),
    on_run("audit run --depth 3", "depth"),
    on_run("audit run", "two positives", name="audit without a query with two positives"),
    on_run("audit gone.jsonl", "gone.jsonl"),
    on_run("trial run --seeds 0", "seeds"),
    on_run("trial run --folds 9", "folds"),
    on_run("trial run --batch 1", "batch"),
    on_run("trial run --learning-rate nan", "learning_rate"),
    on_run("trial run --learning-rate 0", "learning_rate"),
    on_run("trial run --student nobody", "--student"),
    on_run("trial run --selection nothing", "'nothing'"),
    on_run("trial run --evaluation gone.jsonl", "gone.jsonl"),
    on_run("trial run", "trial", name="trial of five queries"),
    on_run("trial gone", "no run directory"),
    on_run("doctor", "--cache", name="doctor of nothing"),
    on_run("doctor gone", "no run directory"),
    on_run("doctor gone --cache", "gone", "no folder"),
    on_run("doctor run/corpus.parquet", "corpus.parquet", "no run directory"),
    on_run("demo --folder run/manifest.json", "manifest.json", "--folder"),
    on_run("mien pairs.jsonl", "mien"),
    on_run("select run extra", "extra"),
    on_run("recipes extra", "extra"),
]  # fmt: skip


def labels(name: str, content: Content, *says: str) -> Case:
    return on_run("select run -q --labels l.csv", *says, name=f"labels: {name}", l__csv=content)


LABELS_HEADER = "query_id,doc_id,relevant\n"
LABELS = [
    labels("an empty file", "", "l.csv", "empty"),
    labels("nothing judged", LABELS_HEADER, "l.csv", "judges nothing"),
    labels("unknown ids", LABELS_HEADER + "q,d,true\n", "l.csv, line 2", "none of its pairs is in the run"),
    labels("an answer that is none", LABELS_HEADER + "q,d,perhaps\n", "l.csv, line 2", "'perhaps'"),
    labels("a column less", "query_id,relevant\nq,true\n", "l.csv, line 1", "document id"),
    labels("a field too many", LABELS_HEADER + "q,d,true,x\n", "l.csv, line 2", "4 fields"),
    labels("a folder", folder, "l.csv", "a folder"),
    labels("a pipe", pipe, "l.csv"),
    labels("not UTF-8", LABELS_HEADER.encode() + b"\xff,d,true\n", "l.csv, line 2", "UTF-8"),
]


def listed(name: str, content: Content, *says: str, key: str = "--exclude-docs") -> Case:
    files: dict[str, Content] = {"pairs.jsonl": GOOD, "list.txt": content}
    return Case(f"{key} {name}", mine(flags=f"{key} list.txt"), says, files)


def _lists(key: str) -> Sequence[Case]:
    return [
        listed("of nothing", "\n\n", "list.txt", "no ids and no texts", key=key),
        listed("that is not UTF-8", b"a\n\xff\n", "list.txt, line 2", "UTF-8", key=key),
        listed("of JSON that breaks off", '{"_id": "a"}\n{"_id"', "list.txt, line 2", "not JSON", key=key),
        listed(
            "of JSON nested deep", '{"_id": "a"}\n' + "[" * 100_000, "list.txt, line 2", "too deep", key=key
        ),
        listed("of objects without an id", '{"a": 1}\n', "list.txt, line 1", "no id", key=key),
        listed("with a line of 100 MB", long_line("a\n"), "list.txt, line 2", "64 MiB", key=key),
        listed("that is a pipe", pipe, "list.txt", "a pipe", key=key),
        listed("that is a folder", folder, "list.txt", "a folder", key=key),
        listed("that links to itself", link_to("list.txt"), "list.txt", "links to itself", key=key),
    ]


CASES = [*CONFIGS, *MINE, *PLACES, *RUNS, *LABELS, *_lists("--exclude-docs"), *_lists("--exclude-queries")]
