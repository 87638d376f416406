"""One frozen model a stage; the same names as flags, as keys of a config file and as keyword arguments.

Every key belongs to exactly one stage.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from numbers import Integral
from os import PathLike, fspath
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from hardneg.credentials import holds_credential
from hardneg.errors import UsageError

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"

LARGEST_SCORE = 1e38
"""Of a score, and of a setting about scores, either way: a third of what float32 holds, so that differences
of scores are numbers too."""

OnBadRow = Literal["fail", "skip"]
Index = Literal["exact", "faiss-gpu"]
Rescore = Literal["auto", "all", "lazy"]
Shortfall = Literal["keep", "drop", "deepen", "backfill"]
Reference = Literal["min", "mean", "max", "each"]
SamplerName = Literal["top", "random", "softmax", "simans", "stratified", "diverse"]
GuardMode = Literal["off", "prior", "fit", "auto"]
Format = Literal[
    "flagembedding",
    "st-triplet",
    "st-n-tuple",
    "st-labeled-pair",
    "st-labeled-list",
    "pylate-triplet",
    "pylate-n-tuple",
    "pylate-distillation",
    "tevatron",
    "tevatron-ids",
    "ms-swift-embedding",
    "ms-swift-reranker",
    "nemo",
    "nemo-inline",
    "dpr",
    "gpl",
    "arctic",
    "rankllm",
    "trec",
    "beir",
]


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _files(value: Any) -> Any:
    """Paths as text; `none` is no file."""
    several = (value,) if isinstance(value, str | PathLike) else value
    if not isinstance(several, tuple | list):
        return value
    named = tuple(fspath(one) if isinstance(one, PathLike) else one for one in several)
    return () if named == ("none",) else named


def _models(value: Any) -> Any:
    """Names of models. A run of before, whose manifest says true or false of all of them, trusts none."""
    return () if isinstance(value, bool) else _as_tuple(value)


Names = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]
Named = Annotated[str, Field(min_length=1)]
"""Of a file, a folder, a device or a model: no name at all would be the working folder."""
ScoreLike = Annotated[float, Field(ge=-LARGEST_SCORE, le=LARGEST_SCORE)]
Trusted = Annotated[tuple[str, ...], BeforeValidator(_models)]
Files = Annotated[tuple[Named, ...], BeforeValidator(_files)]


def _is_count(text: str) -> bool:
    """Digits as they are typed: `isdigit` alone takes a superscript for one."""
    return text.isascii() and text.isdigit()


_MOST_DIGITS = 9
"""Of a count: tables have fewer rows than 2^31."""
_LARGEST = 1 << 63
_SHOWN = 60  # letters of a value


def shown(value: Any) -> str:
    """A value for a message, never long."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, int) and abs(value) >= _LARGEST:
        return "a number of many digits"
    text = " ".join(repr(list(value) if isinstance(value, tuple) else value).split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _window(value: Any) -> Any:
    """`10:210` → (10, 210): raw ranks 11 to 210. `5:` has no end."""
    if not isinstance(value, str):
        if isinstance(value, tuple | list) and all(isinstance(end, int | None) for end in value):
            value = ":".join("" if end is None else str(end) for end in value)
        else:
            return value
    start, colon, stop = value.partition(":")
    if not colon or not all(end == "" or _is_count(end) for end in (start, stop)):
        raise ValueError(
            f"{shown(value)} is no window; write START:STOP, e.g. 10:210 for raw ranks 11 to 210"
        )
    if max(len(start), len(stop)) > _MOST_DIGITS:
        raise ValueError(f"{shown(value)} reaches beyond all ranks; leave STOP out where there is no end")
    if stop and int(stop) <= int(start or 0):
        raise ValueError(f"{value!r} holds no rank; START must be below STOP")
    return (int(start or 0), int(stop) if stop else None)


Window = Annotated[tuple[int, int | None], BeforeValidator(_window)]


def _count(value: Any) -> Any:
    typed = isinstance(value, str) and _is_count(value) and len(value) <= _MOST_DIGITS
    number = int(value) if typed else value
    if number == "all":
        return number
    if not isinstance(number, Integral) or isinstance(number, bool) or number < 1:
        raise ValueError("must be a whole number from 1 on, or `all`")
    return int(number)


Count = Annotated[int | Literal["all"], BeforeValidator(_count)]


class Stage(BaseModel):
    """What the stages' models share: frozen, no unknown keys, no NaN or infinity, texts and whole
    numbers that can be written."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _sane(cls, value: Any, about: ValidationInfo) -> Any:
        if isinstance(value, bool) and cls.model_fields[about.field_name or ""].annotation is not bool:
            raise ValueError("true and false are none of its values")
        for text in value if isinstance(value, tuple | list) else (value,):
            if isinstance(text, str) and "\0" in text:
                raise ValueError("holds a NUL character; leave it out")
            if isinstance(text, str) and any("\ud800" <= letter <= "\udfff" for letter in text):
                raise ValueError("is not UTF-8, or holds half a surrogate pair; write it anew")
            if isinstance(text, int) and abs(text) > _LARGEST:
                raise ValueError("is too large")
        return value


class ReadConfig(Stage):
    """read: what is taken from the source."""

    format: Format | None = Field(
        None, description="Format of a trainer that the file is in; default: told by its columns."
    )
    split: str = Field("train", description="Split of the judgments or of the data set.")
    qrels: Named | None = Field(
        None, description="Judgments that lie elsewhere: a file, a folder or a Hub id."
    )
    corpus: Named | None = Field(
        None, description="A further pool of documents: JSONL with `text`, BEIR corpus, CSV or Parquet."
    )
    subset: str | None = Field(None, description="Configuration (subset) of a Hub data set.")
    streaming: bool = Field(
        False, description="Read a Hub data set as it arrives, and keep no copy of it on this disk."
    )
    query_column: str | None = Field(None, description="Column of the query text.")
    positive_column: str | None = Field(None, description="Column of the positive text.")
    negative_column: Names = Field((), description="Column of a given negative; may be repeated.")
    min_relevance: ScoreLike | None = Field(
        None, description="Judgments from this relevance on are positives; default: above 0."
    )
    trust_judged_negatives: bool = Field(
        False, description="Use judgments of relevance 0 and below as given negatives."
    )
    limit_queries: int | None = Field(None, ge=1, description="Take only the first N queries, by id.")
    on_bad_row: OnBadRow = Field(
        "fail", description="What to do with a row that cannot be used; skipped rows are counted and listed."
    )


class TrainingFileOptions(Stage):
    """file: what a training file does not say itself."""

    corpus: str | None = Field(None, description="Texts of documents, where the file holds ids alone.")
    queries: str | None = Field(None, description="Texts of queries, where the file holds ids alone.")
    qrels: str | None = Field(None, description="The positives, where the file holds negatives alone.")
    min_relevance: float | None = Field(
        None, description="Labels or scores from it on make a positive; default: labels above 0."
    )

    @property
    def named(self) -> list[str]:
        """The files beside it."""
        return [named for named in (self.corpus, self.queries, self.qrels) if named is not None]


class EncodeConfig(Stage):
    """encode: how a text becomes a vector."""

    model: str = Field(DEFAULT_MODEL, description="Model of a `dense` retriever that names none.")
    query_prompt: str | None = Field(None, description="Put before queries, in place of the model's own.")
    document_prompt: str | None = Field(
        None, description="Put before documents, in place of the model's own."
    )
    prompt: Names = Field(
        (), description="NAME:query=TEXT or NAME:document=TEXT, a prompt of one retriever; repeatable."
    )
    family_prompts: bool = Field(
        True, description="Where a model declares no prompts, use what its family's card says (BGE, E5, ...)."
    )
    join_title: bool = Field(True, description="Encode `title text`, as BEIR does.")
    max_length: int | None = Field(None, ge=1, description="Longest input in tokens; default: the model's.")
    backend: Literal["auto", "torch", "openvino"] = Field(
        "auto", description="What runs the model; auto: OpenVINO on a CPU where it can (extra `openvino`)."
    )
    precision: Literal["auto", "fp32", "bf16", "fp16", "int8"] = Field(
        "auto",
        description="Numbers the model computes in; auto: bf16 where the hardware has it; int8: by OpenVINO.",
    )
    batch_size: int | None = Field(
        None, ge=1, description="Texts of 64 tokens (on a GPU 512) a batch; default: measured where it pays."
    )
    device: Named | None = Field(
        None,
        description="cpu, cuda, mps, ..., or several: cuda:0,cuda:1; default: the best, all GPUs.",
    )
    store_dtype: Literal["float32", "float16"] = Field("float32", description="How vectors are stored.")
    cache_dir: Named | None = Field(
        None, description="Folder of the vector store; default $HARDNEG_CACHE or the platform's cache folder."
    )
    trust_remote_code: Trusted = Field(
        (), description="A model, as named elsewhere, whose own code may run; may be repeated."
    )
    vectors_similarity: Literal["dot", "cosine"] = Field(
        "dot", description="How own vectors (`vectors:DIR`) are compared."
    )

    @field_validator("device")
    @classmethod
    def _holds_numbers(cls, value: str | None) -> str | None:
        if value is not None and any(one.strip().split(":")[0] == "meta" for one in value.split(",")):
            raise ValueError("'meta' computes nothing; name cpu, cuda, mps, ... or leave it out")
        return value

    def trusts(self, model: str) -> bool:
        """Whether code that this model brings along may run."""
        return model in self.trust_remote_code

    @property
    def first_device(self) -> str | None:
        """Where one model runs once."""
        return None if self.device is None else self.device.split(",")[0].strip()


class SearchConfig(Stage):
    """search: which documents come into question."""

    retriever: Names = Field(
        ("dense",),
        description="dense, dense:MODEL, bm25, run:FILE or vectors:DIR; NAME=... names it; repeatable.",
    )
    depth: int = Field(
        200, ge=1, lt=2**31, description="Documents searched for each query, by each retriever."
    )
    index: Index = Field(
        "exact",
        description="Who searches vectors: FAISS on the CPU or torch on a GPU (exact), or FAISS on all GPUs; "
        "the result is the same.",
    )


class RescoreConfig(Stage):
    """rescore: further scores for the candidates."""

    cross_encoder: Named | None = Field(
        None, description="Cross-encoder that scores candidates and positives."
    )
    cross_encoder_output: Literal["logit", "probability"] = Field(
        "logit", description="Whether its scores are logits or probabilities (sigmoid)."
    )
    cross_encoder_batch_size: int = Field(32, ge=1, description="Pairs a batch.")
    cross_encoder_max_length: int | None = Field(None, ge=1, description="Longest pair in tokens.")


class GuardConfig(Stage):
    """guard: what may never be a negative."""

    near_duplicate: float = Field(
        0.8, ge=0, le=1, description="Jaccard similarity from which a copy of a positive is one; 0: off."
    )
    exclude_docs: Named | None = Field(
        None, description="Documents never to use: a file with an id or a text a line, or JSONL."
    )
    exclude_queries: Named | None = Field(
        None, description="Queries to leave out, near-identical ones too: a file with an id or a text a line."
    )
    min_chars: int = Field(0, ge=0, description="Shortest document in characters.")
    same_lang: bool = Field(False, description="Only documents in the query's language (column `lang`).")
    guard: GuardMode = Field(
        "auto",
        description="What judges how likely a candidate is an unlabelled positive: shipped weights (prior), "
        "weights fitted on the run's labels (fit), what its labels allow (auto), or nothing (off).",
    )
    max_miss_rate: float | None = Field(
        None, gt=0, lt=1, description="Drop likely positives, so that at most this share of them passes."
    )
    max_p: float | None = Field(
        None, gt=0, le=1, description="Drop candidates from this probability of being a positive on."
    )
    promote: float | None = Field(
        None, gt=0, le=1, description="Make candidates from this probability on positives, marked `promoted`."
    )
    promote_precision: float | None = Field(
        None, gt=0, le=1, description="The same, from the probability on where this share of them is right."
    )
    label_completeness: float | None = Field(
        None, gt=0, le=1, description="Share of the positives that is labelled; default: estimated."
    )
    labels: Files = Field(
        (),
        description="Judged pairs: a file of `hardneg suspects`, filled in, or any with query_id, doc_id and "
        "relevant; may be repeated.",
    )

    @property
    def promoting(self) -> bool:
        return self.promote is not None or self.promote_precision is not None

    @model_validator(mode="after")
    def _something_judges(self) -> Self:
        idle = [key for key in NEEDING_A_GUARD if getattr(self, key) is not None]
        if self.guard == "off" and idle:
            raise ValueError(
                f"guard off gives no probabilities, and {idle[0]} needs them; leave one of both out "
                f"({idle[0]}: none unsets it)"
            )
        return self


NEEDING_A_GUARD = ("max_miss_rate", "max_p", "promote", "promote_precision", "label_completeness")


class SelectConfig(Stage):
    """select: which of the candidates become negatives."""

    num_negatives: Count = Field(4, description="Negatives a query, or `all`.")
    window: Window | None = Field(None, description="START:STOP in raw ranks; 10:210 is ranks 11 to 210.")
    max_score: ScoreLike | None = Field(None, description="Highest score of a negative.")
    min_score: ScoreLike | None = Field(None, description="Lowest score of a negative.")
    margin: ScoreLike | None = Field(None, description="Keep if score <= positive - margin.")
    relative_margin: ScoreLike | None = Field(
        0.05, description="Keep if score <= positive - |positive| * relative_margin."
    )
    reference: Reference = Field("mean", description="Positive that margins are taken against.")
    missing_positive_score: ScoreLike | None = Field(
        None, description="Score of a positive that a retriever has none for; default: report the query."
    )
    sampler: SamplerName = Field("top", description="How negatives are drawn from what is left.")
    temperature: float = Field(
        0.05, ge=1 / LARGEST_SCORE, le=LARGEST_SCORE, description="softmax: p ∝ exp(score / temperature)."
    )
    simans_a: float = Field(
        1.0, gt=0, le=LARGEST_SCORE, description="simans: p ∝ exp(-a (score - positive - b)²)."
    )
    simans_b: ScoreLike = Field(0.0, description="simans: b of the same formula.")
    bands: int = Field(4, ge=1, lt=2**31, description="stratified: number of score bands.")
    diversity: float = Field(0.5, ge=0, le=1, description="diverse: weight of unlikeness to those chosen.")
    max_reuse: int | None = Field(None, ge=1, description="How often one document may serve as a negative.")
    quota: Names = Field((), description="NAME=N: at least N negatives of this retriever; may be repeated.")
    score_by: str | None = Field(
        None, description="Scores for margins, thresholds and order: a retriever or `cross_encoder`."
    )
    order_by: str | None = Field(None, description="Retriever or scorer whose scores order the candidates.")
    rescore: Rescore = Field(
        "auto",
        description="Which pairs a cross-encoder scores: all; where its scores only let candidates pass, "
        "those up to a query's last negative, the same ones being chosen (auto); those in any case, so that "
        "the guard does not look at its scores (lazy).",
    )
    combine: Literal["any", "all"] = Field(
        "all", description="Where several retrievers found a document: must any or all of them let it pass?"
    )
    given_negatives: Literal["keep", "ignore"] = Field(
        "keep", description="Negatives of the source: first in the result, or only documents of the corpus."
    )
    shortfall: Shortfall = Field(
        "backfill",
        description="What to do for a query with too few negatives: keep or drop it, search deeper for it "
        "(deepen), or add random documents (backfill).",
    )
    seed: int = Field(0, ge=0, lt=2**63, description="Seed of all random draws.")

    @model_validator(mode="after")
    def _scores_in_order(self) -> Self:
        if self.min_score is not None and self.max_score is not None and self.min_score > self.max_score:
            raise ValueError(f"min_score {self.min_score:g} is above max_score {self.max_score:g}")
        return self


STAGES: Mapping[str, type[Stage]] = {
    "read": ReadConfig,
    "encode": EncodeConfig,
    "search": SearchConfig,
    "rescore": RescoreConfig,
    "guard": GuardConfig,
    "select": SelectConfig,
}


SELECTING = ("guard", "select")
"""The stages whose settings a finished run can be given anew."""


class Config(Stage):
    """The stages' models together; flat from outside."""

    read: ReadConfig = ReadConfig()
    encode: EncodeConfig = EncodeConfig()
    search: SearchConfig = SearchConfig()
    rescore: RescoreConfig = RescoreConfig()
    guard: GuardConfig = GuardConfig()
    select: SelectConfig = SelectConfig()

    @classmethod
    def from_flat(cls, values: Mapping[str, Any]) -> Config:
        """Raises UsageError for an unknown key (naming the nearest) or a value that cannot be right."""
        known = {key: name for name, stage in STAGES.items() for key in stage.model_fields}
        parts: dict[str, dict[str, Any]] = {name: {} for name in STAGES}
        for key, value in values.items():
            if key not in known:
                raise UsageError(f"unknown key {key!r}{nearest(key, known)}")
            parts[known[key]][key] = value
        return cls(**{name: build(STAGES[name], part) for name, part in parts.items()})

    def flat(self) -> dict[str, Any]:
        """What `from_flat` takes back, as JSON values."""
        return {
            key: value
            for name in STAGES
            for key, value in getattr(self, name).model_dump(mode="json").items()
        }


def build(stage: type[Stage], values: Mapping[str, Any]) -> Any:
    """The stage's model from its own keys; `none` unsets one. A wrong value is a UsageError naming both."""
    refuse_credentials(values)
    values = {key: fspath(value) if isinstance(value, PathLike) else value for key, value in values.items()}
    for key, value in values.items():
        field = stage.model_fields.get(key)
        if field is None:
            raise UsageError(f"unknown key {key!r}{nearest(key, stage.model_fields)}")
        if isinstance(value, str) and value == "none" and type(None) in get_args(field.annotation):
            values = {**values, key: None}
    try:
        return stage(**values)
    except ValidationError as error:
        first = error.errors()[0]
        wanted = _in_words(first)
        if not first["loc"]:
            raise UsageError(wanted) from error
        key = str(first["loc"][0])
        raise UsageError(f"{key}: {wanted} (given: {shown(values.get(key))})") from error


def _in_words(error: Mapping[str, Any]) -> str:
    """What a value must be."""
    kind, bounds = error["type"], error.get("ctx", {})
    if kind.startswith("int_"):
        return "must be a whole number"
    words = {
        "finite_number": "must be a finite number",
        "float_parsing": "must be a number",
        "float_type": "must be a number",
        "string_type": "must be text",
        "string_too_short": "must not be empty",
        "tuple_type": "must be a list of texts",
        "bool_parsing": "must be true or false",
        "bool_type": "must be true or false",
        "greater_than_equal": "must be {ge} or more",
        "greater_than": "must be above {gt}",
        "less_than_equal": "must be {le} or less",
        "less_than": "must be below {lt}",
        "literal_error": "must be one of {expected}",
    }
    if kind in words:
        return words[kind].format(**bounds)
    return str(error["msg"]).removeprefix("Value error, ")


def refuse_credentials(values: Mapping[str, Any]) -> None:
    """Raises UsageError for a value with a token, key or password in it: settings are kept and shown."""
    for key, value in values.items():
        several = value if isinstance(value, tuple | list) else (value,)
        if any(isinstance(one, str | PathLike) and holds_credential(fspath(one)) for one in several):
            raise UsageError(
                f"{key}: holds a token, key or password, and would be kept in the manifest; leave it out, "
                "and log in with `hf auth login` or by HF_TOKEN"
            )


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` where something is near, else nothing. The dashes of flags are no likeness."""
    bare = {one.lstrip("-"): one for one in known}
    close = difflib.get_close_matches(str(word).lstrip("-"), list(bare), n=1, cutoff=0.6)
    return f"; did you mean {bare[close[0]]!r}?" if close else ""
