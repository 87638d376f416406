"""S3 as its own library speaks it, against a server on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from small_collection import BEIR, SETTINGS, jsonl

import hardneg
import hardneg.export
from hardneg.export.formats import format_named
from hardneg.read import fingerprint

pytest.importorskip("s3fs", reason="s3:// needs s3fs: pip install s3fs")
moto_server = pytest.importorskip(
    "moto.server", reason="the S3 server of the tests: pip install 'moto[s3,server]'"
)

KEY, SECRET = "AKIACANARY1234567890", "canary/secret+1234567890abcdefghijklmnop"
COMMAND = [sys.executable, "-c", "from hardneg.cli import main; main()"]
Bucket = Callable[[Mapping[str, bytes]], str]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    running = moto_server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture(autouse=True)
def environment(server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """Where the keys and the server's address come from: nowhere else."""
    import s3fs

    values = {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "HARDNEG_CACHE": str(tmp_path / "cache"),
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()  # one of another environment
    return values


@pytest.fixture
def store(server: str) -> Any:
    """The bare client: what it sees is what others see."""
    import botocore.session

    session = botocore.session.get_session()
    return session.create_client("s3", endpoint_url=server, region_name="us-east-1")


@pytest.fixture
def bucket(store: Any) -> Bucket:
    def put(files: Mapping[str, bytes]) -> str:
        name = f"b-{uuid4().hex}"
        store.create_bucket(Bucket=name)
        for key, content in files.items():
            store.put_object(Bucket=name, Key=key, Body=content)
        return f"s3://{name}"

    return put


@pytest.fixture
def mined(beir: Path, tmp_path: Path) -> hardneg.Mined:
    return hardneg.mine(beir, run_dir=tmp_path / "run", **SETTINGS)


def content(store: Any, address: str) -> bytes:
    name, _, key = address.removeprefix("s3://").partition("/")
    found: bytes = store.get_object(Bucket=name, Key=key)["Body"].read()
    return found


def keys(store: Any, address: str) -> list[str]:
    name = address.removeprefix("s3://").partition("/")[0]
    return [one["Key"] for one in store.list_objects_v2(Bucket=name).get("Contents", [])]


def test_a_beir_folder_mined_by_the_command_line_from_s3_to_s3(
    bucket: Bucket, store: Any, beir: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    root = bucket({f"beir/{name}": data for name, data in BEIR.items()})
    flags = [
        f"--{key.replace('_', '-')}={'none' if value is None else value}" for key, value in SETTINGS.items()
    ]
    words = ["mine", f"{root}/beir", "--run-dir", str(tmp_path / "run"), *flags]
    ended = subprocess.run(
        [*COMMAND, *words, "--to", "st-triplet", "--output", f"{root}/out/triplets.jsonl", "--json"],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["export"]["path"] == f"{root}/out/triplets.jsonl"
    hardneg.mine(beir, run_dir=tmp_path / "here", **SETTINGS).to("st-triplet", tmp_path / "triplets.jsonl")
    assert content(store, f"{root}/out/triplets.jsonl") == (tmp_path / "triplets.jsonl").read_bytes()
    kept = [path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert not any(secret.encode() in data for secret in (KEY, SECRET) for data in kept)


def test_a_file_of_several_parts_is_the_same_file(
    bucket: Bucket, store: Any, mined: hardneg.Mined, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upload of more than a part: parts are of 5 MiB at least."""
    import s3fs

    monkeypatch.setattr(s3fs.S3FileSystem, "default_block_size", 5 << 20)
    root, large = bucket({}), os.urandom(12 << 20)
    _pretend(monkeypatch, large)
    mined.to("st-triplet", f"{root}/t.jsonl")
    assert content(store, f"{root}/t.jsonl") == large
    assert _unfinished(store, root) == 0


@pytest.mark.parametrize("part", [1, 2, "last"])
def test_an_upload_that_breaks_off_leaves_what_was_there(
    part: int | str, bucket: Bucket, store: Any, mined: hardneg.Mined, monkeypatch: pytest.MonkeyPatch
) -> None:
    import s3fs

    monkeypatch.setattr(s3fs.S3FileSystem, "default_block_size", 5 << 20)
    root, sent = bucket({"t.jsonl": b"what was there"}), 0
    _pretend(monkeypatch, os.urandom(12 << 20))

    def breaking(operation: str) -> None:
        nonlocal sent
        sent += operation == "UploadPart"
        last = operation == "CompleteMultipartUpload" and part == "last"
        if last or (operation == "UploadPart" and sent == part):
            raise OSError("the line went dead")

    _before_each_call(monkeypatch, breaking)
    with pytest.raises(hardneg.HardnegError, match=r"t\.jsonl: cannot be written \(.*the line went dead"):
        mined.to("st-triplet", f"{root}/t.jsonl")
    assert content(store, f"{root}/t.jsonl") == b"what was there"
    assert part == "last" or _unfinished(store, root) == 0


def _before_each_call(monkeypatch: pytest.MonkeyPatch, do: Callable[[str], None]) -> None:
    """Of the library that speaks to S3."""
    from aiobotocore.client import AioBaseClient

    real = AioBaseClient._make_api_call

    async def call(self: Any, operation: str, words: Any) -> Any:
        do(operation)
        return await real(self, operation, words)

    monkeypatch.setattr(AioBaseClient, "_make_api_call", call)


def _pretend(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    """Exports write these bytes."""
    import hardneg.export

    real = hardneg.export.export

    def pretended(tables: Any, to: str, output: Path, **named: Any) -> Any:
        report = real(tables, to, output, **named)
        output.write_bytes(data)
        return report

    monkeypatch.setattr(hardneg.export, "export", pretended)


def _unfinished(store: Any, address: str) -> int:
    name = address.removeprefix("s3://").partition("/")[0]
    return len(store.list_multipart_uploads(Bucket=name).get("Uploads", []))


GROUPS = [
    {
        "query": f"query {n}", "id": f"q{n}", "pos": [f"river {n}"], "neg": [f"hill {n}", f"wood {n}"],
        "pos_id": [f"r{n}"], "neg_id": [f"h{n}", f"w{n}"], "pos_scores": [2.5], "neg_scores": [1.5, 0.5],
    }
    for n in range(3)
]  # fmt: skip
FOLDERS = [to for to in hardneg.export.FORMATS if format_named(to).folder]


@pytest.mark.parametrize("to", FOLDERS)
def test_a_folder_of_a_trainer_is_converted_to_and_from_there(
    to: str, bucket: Bucket, store: Any, tmp_path: Path
) -> None:
    root = bucket({"train.jsonl": jsonl(GROUPS)})
    hardneg.convert(f"{root}/train.jsonl", to, f"{root}/{to}")
    (tmp_path / "train.jsonl").write_bytes(jsonl(GROUPS))
    hardneg.convert(tmp_path / "train.jsonl", to, tmp_path / to)
    files = [path for path in (tmp_path / to).rglob("*") if path.is_file()]
    here = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in files}
    assert {key: content(store, f"{root}/{key}") for key in keys(store, root) if key != "train.jsonl"} == here
    checked = hardneg.check(f"{root}/{to}")
    assert (checked.path, checked.format, checked.rows, checked.clean) == (f"{root}/{to}", to, 3, True)
    hardneg.convert(f"{root}/{to}", "flagembedding", f"{root}/back.jsonl")
    hardneg.convert(tmp_path / to, "flagembedding", tmp_path / "back.jsonl")
    assert content(store, f"{root}/back.jsonl") == (tmp_path / "back.jsonl").read_bytes()
    with pytest.raises(hardneg.UsageError, match=rf"{root}/{to}: something is there, and folders are not"):
        hardneg.convert(f"{root}/train.jsonl", to, f"{root}/{to}")


def test_ids_alone_with_their_texts_there(bucket: Bucket) -> None:
    run = b"".join(f"q{n} Q0 d{n + 5} 1 0.5 tag\n".encode() for n in range(3))
    beir = {f"beir/{name}": data for name, data in BEIR.items()}
    root = bucket({**beir, "run.trec": run})
    beside = {"corpus": f"{root}/beir", "queries": f"{root}/beir", "qrels": f"{root}/beir/qrels/train.tsv"}
    assert hardneg.check(f"{root}/run.trec", **beside).clean
    report = hardneg.convert(f"{root}/run.trec", "tevatron-ids", f"{root}/out/tevatron", **beside)
    assert (report.rows, report.accounts.positives, report.accounts.negatives) == (3, 3, 3)


def test_the_command_line_converts_and_checks_there(
    bucket: Bucket, store: Any, environment: dict[str, str]
) -> None:
    faulty = [*GROUPS, {"query": "query 3", "pos": ["same"], "neg": ["Same ", "other"]}]
    root = bucket({"train.jsonl": jsonl(faulty)})

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *words], capture_output=True, text=True, env={**os.environ, **environment}, check=False
        )

    checked = command("check", f"{root}/train.jsonl")
    assert (checked.returncode, checked.stderr) == (1, "")
    assert checked.stdout.startswith(f"{root}/train.jsonl (flagembedding): 4 rows")
    refused = command("convert", f"{root}/train.jsonl", "--to", "nemo", "--output", f"{root}/nemo")
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"error: {root}/train.jsonl, line 4: a negative is a positive")
    assert keys(store, root) == ["train.jsonl"]
    flags = ("--on-fault", "drop", "--json")
    done = command("convert", f"{root}/train.jsonl", "--to", "nemo", "--output", f"{root}/nemo", *flags)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["path"] == f"{root}/nemo"
    assert sorted(keys(store, root)) == [
        *("nemo/corpus/merlin_metadata.json", "nemo/corpus/train.parquet", "nemo/train.json", "train.jsonl"),
    ]


def test_a_folder_whose_upload_breaks_off_is_taken_back(
    bucket: Bucket, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, sent = bucket({"train.jsonl": jsonl(GROUPS)}), 0

    def breaking(operation: str) -> None:
        nonlocal sent
        sent += operation == "UploadPart"
        if operation == "UploadPart" and sent == 3:
            raise OSError("the line went dead")

    _before_each_call(monkeypatch, breaking)
    with pytest.raises(hardneg.HardnegError, match="the line went dead"):
        hardneg.convert(f"{root}/train.jsonl", "arctic", f"{root}/arctic")
    assert sent == 3
    assert keys(store, root) == ["train.jsonl"]


class TestWhatIsWrong:
    """One line with the address and a remedy, and no key in it."""

    def test_no_such_bucket(self, mined: hardneg.Mined) -> None:
        with pytest.raises(
            hardneg.InputError, match=r"^s3://no-such-bucket/x.jsonl: there is no bucket 'no-such-bucket'"
        ):
            hardneg.load("s3://no-such-bucket/x.jsonl")
        with pytest.raises(hardneg.UsageError, match=r"^s3://no-such-bucket/x.jsonl: there is no bucket"):
            mined.to("st-triplet", "s3://no-such-bucket/x.jsonl")

    def test_no_such_file(self, bucket: Bucket) -> None:
        root = bucket({"a.jsonl": b"x"})
        with pytest.raises(hardneg.InputError, match=rf"^{root}/b.jsonl: there is no such file or folder"):
            hardneg.load(f"{root}/b.jsonl")

    def test_no_credentials(self, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
        root = bucket({"a.jsonl": b"x"})
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        with pytest.raises(
            hardneg.HardnegError, match="there are no credentials for it; set AWS_ACCESS_KEY_ID"
        ):
            hardneg.load(f"{root}/a.jsonl")

    @pytest.mark.parametrize(
        ("code", "said"),
        [
            ("InvalidAccessKeyId", "the credentials are not accepted"),
            ("SignatureDoesNotMatch", "the credentials are not accepted"),
            ("ExpiredToken", "the credentials are not accepted"),
            ("AccessDenied", "may not be written with these credentials"),
        ],
    )
    def test_what_the_server_refuses(
        self, code: str, said: str, bucket: Bucket, mined: hardneg.Mined, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from botocore.exceptions import ClientError

        root = bucket({})

        def refusing(operation: str) -> None:
            if operation in ("CreateMultipartUpload", "PutObject"):
                message = f"Signed by {KEY} with {SECRET}"
                raise ClientError({"Error": {"Code": code, "Message": message}}, operation)

        _before_each_call(monkeypatch, refusing)
        with pytest.raises(hardneg.HardnegError, match=rf"^{root}/t.jsonl: {said}") as caught:
            mined.to("st-triplet", f"{root}/t.jsonl")
        assert KEY not in str(caught.value)
        assert SECRET not in str(caught.value)

    def test_nobody_answers(self, mined: hardneg.Mined, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        monkeypatch.setattr("s3fs.core.S3FileSystem.retries", 1)
        with pytest.raises(hardneg.HardnegError, match="check the network and try again"):
            hardneg.load("s3://bucket/x.jsonl")

    def test_keys_in_the_address_are_refused(self) -> None:
        with pytest.raises(hardneg.UsageError, match="holds a token, key or password") as caught:
            hardneg.load(f"s3://{KEY}:{SECRET}@bucket/x.jsonl")
        assert SECRET not in str(caught.value)


def test_the_same_collection_as_on_this_disk(bucket: Bucket, beir: Path) -> None:
    root = bucket({f"deep/er/{name}": data for name, data in BEIR.items()})
    assert fingerprint(hardneg.load(f"{root}/deep/er/")) == fingerprint(hardneg.load(beir))
