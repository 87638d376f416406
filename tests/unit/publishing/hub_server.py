"""As much of the Hub as `huggingface_hub` and `datasets` ask of it for data sets, on this machine."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

_OF_REPO = re.compile(r"/api/datasets/([^/]+/[^/]+)(?:/(\w[\w-]*))?(?:/([^/]+))?(?:/(.*))?")
LICENCES = {"mit", "apache-2.0", "cc-by-4.0"}


@dataclass
class Repo:
    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    commits: list[str] = field(default_factory=lambda: [hashlib.sha1(b"first").hexdigest()])  # noqa: S324  # as git's
    messages: list[str] = field(default_factory=list)


@dataclass
class Hub:
    """What is stored there; `refuse` answers a path with a status in the place of the real answer."""

    token: str
    repos: dict[str, Repo] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    refuse: Callable[[str], int | None] = lambda path: None
    spoil: Callable[[bytes], bytes] = lambda data: data
    url: str = ""

    def start(self) -> ThreadingHTTPServer:
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self.url = f"http://127.0.0.1:{server.server_port}"
        Thread(target=server.serve_forever, daemon=True).start()
        return server


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *words: Any) -> None:
        pass

    def do_GET(self) -> None:  # the name is http.server's
        self._answer()

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815  # likewise

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.hub.asked.append(f"{self.command} {path}")
        refused = self.hub.refuse(path)
        if refused is not None:
            self._send(refused, {"error": f"refused with {refused}"})
        elif path.startswith("/lfs/"):
            self.hub.objects[path.removeprefix("/lfs/")] = body
            self._send(200, {})
        elif self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            self._send(401, {"error": "Invalid credentials"})
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif path == "/api/validate-yaml":
            self._validate(json.loads(body)["content"])
        elif match := re.fullmatch(r"/datasets/([^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
            self._batch(json.loads(body))
        elif match := re.fullmatch(r"/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._file(match[1], match[3])
        elif match := re.fullmatch(
            r"/api/datasets/([^/]+/[^/]+)(?:/(\w[\w-]*))?(?:/([^/]+))?(?:/(.*))?", path
        ):
            self._of_repo(match[1], match[2] or "revision", match[4] or "", body)
        else:
            self._send(404, {"error": "Not found"})

    def _of_repo(self, name: str, what: str, inside: str, body: bytes) -> None:
        repo = self.hub.repos.get(name)
        if repo is None:
            self._send(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
        elif what == "revision":
            siblings = [{"rfilename": path} for path in sorted(repo.files)]
            about = {"id": name, "private": repo.private, "sha": repo.commits[-1], "siblings": siblings}
            self._send(
                200, {**about, "tags": [], "gated": False, "disabled": False, "downloads": 0, "likes": 0}
            )
        elif what == "preupload":
            self._send(200, {"files": [self._mode(repo, one["path"]) for one in json.loads(body)["files"]]})
        elif what == "commit":
            self._commit(name, repo, [json.loads(line) for line in body.splitlines()])
        elif what == "paths-info":
            wanted = parse_qs(body.decode())["paths"]
            self._send(200, [one for one in self._entries(repo) if one["path"] in wanted])
        elif what == "tree":
            below = f"{inside}/" if inside else ""
            self._send(200, [one for one in self._entries(repo) if one["path"].startswith(below)])
        else:
            self._send(404, {"error": f"no {what}"})

    def _entries(self, repo: Repo) -> list[dict[str, Any]]:
        files = [
            {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}  # noqa: S324  # as git's
            for path, data in repo.files.items()
        ]
        folders = {path.rpartition("/")[0] for path in repo.files} - {""}
        return [*files, *({"type": "directory", "path": one, "oid": "0" * 40, "size": 0} for one in folders)]

    def _mode(self, repo: Repo, path: str) -> dict[str, Any]:
        ignored = path in repo.files.get(".gitignore", b"").decode().split()
        mode = "lfs" if path.endswith(".parquet") else "regular"
        return {"path": path, "uploadMode": mode, "shouldIgnore": ignored}

    def _create(self, asked: dict[str, Any]) -> None:
        name = f"{asked['organization']}/{asked['name']}"
        private = asked.get("visibility") == "private" or asked.get("private") is True
        self.hub.repos[name] = Repo(private)
        self._send(200, {"url": f"{self.hub.url}/datasets/{name}", "name": name})

    def _validate(self, content: str) -> None:
        found = re.search(r"^license: (.*)$", content, re.MULTILINE)
        wrong = found is not None and found[1] not in LICENCES
        errors = [{"message": '"license" must be one of [...]'}] if wrong else []
        self._send(400 if errors else 200, {"errors": errors, "warnings": []})

    def _batch(self, asked: dict[str, Any]) -> None:
        objects = [
            {**one, "actions": {"upload": {"href": f"{self.hub.url}/lfs/{one['oid']}"}}}
            for one in asked["objects"]
        ]
        self._send(200, {"transfer": "basic", "objects": objects})

    def _commit(self, name: str, repo: Repo, lines: list[dict[str, Any]]) -> None:
        header = lines[0]["value"]
        if header.get("parentCommit", repo.commits[-1]) != repo.commits[-1]:
            self._send(412, {"error": "A commit has happened since. Please refresh and try again."})
            return
        for line in lines[1:]:
            value = line["value"]
            whole = line["key"] == "file"
            data = base64.b64decode(value["content"]) if whole else self.hub.objects[value["oid"]]
            repo.files[value["path"]] = self.hub.spoil(data)
        repo.commits.append(hashlib.sha1(repo.commits[-1].encode()).hexdigest())  # noqa: S324  # as git's
        repo.messages.append(header["summary"])
        oid = repo.commits[-1]
        url = f"{self.hub.url}/datasets/{name}/commit/{oid}"
        self._send(200, {"success": True, "commitOid": oid, "commitUrl": url, "hookOutput": ""})

    def _file(self, name: str, path: str) -> None:
        repo = self.hub.repos.get(name)
        commit = {} if repo is None else {"X-Repo-Commit": repo.commits[-1]}
        if repo is None or path not in repo.files:
            code = "RepoNotFound" if repo is None else "EntryNotFound"
            self._send(404, {"error": "Entry not found"}, {**commit, "X-Error-Code": code})
            return
        data = repo.files[path]
        status, headers = 200, {**commit, "ETag": f'"{hashlib.sha1(data).hexdigest()}"'}  # noqa: S324  # as git's
        if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            start, stop = int(asked[1]), int(asked[2] or len(data) - 1) + 1
            headers["Content-Range"] = f"bytes {start}-{min(stop, len(data)) - 1}/{len(data)}"
            status, data = 206, data[start:stop]
        self._send_bytes(status, data, headers)

    def _send(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        self._send_bytes(
            status, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})}
        )

    def _send_bytes(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
