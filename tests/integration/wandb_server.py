"""A W&B server on loopback that takes what the real client sends, and keeps it."""

import json
import os
import re
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import wandb

KEY = "k" * 40
ALWAYS: dict[str, dict[str, Any]] = {
    "Viewer": {"viewer": {"id": "VXNl", "entity": "team", "username": "user", "flags": "{}"}},
    "GetDefaultEntity": {"viewer": {"id": "VXNl", "entity": "team"}},
    "ServerFeaturesQuery": {"serverInfo": {"features": []}},
    "ProjectInternalId": {"project": {"id": "UHJv", "internalId": "1"}},
    "ArtifactType": {"project": {"artifact": None}},
}
OPERATION = re.compile(r"(?:query|mutation)\s+(\w+)")


@contextmanager
def serving(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator["WandbServer"]:
    """A server that W&B's client takes for its own, in an empty home and without any setting of the user's."""
    wandb.teardown()  # else the address of a process that has ended comes back with the other variables
    for name in os.environ:
        if name.startswith("WANDB_") or name.lower().endswith("_proxy") or name == "NETRC":
            monkeypatch.delenv(name)
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    for what in ("GRAPHQL", "FILE_STREAM", "FILE_TRANSFER"):
        monkeypatch.setenv(f"WANDB__{what}_RETRY_MAX", "1")
    with WandbServer() as running:
        monkeypatch.setenv("WANDB_BASE_URL", running.address)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        wandb.teardown()  # W&B reads its environment once per session
        yield running
        wandb.teardown()


class WandbServer:
    """Records the requests of W&B's client.

    Attributes:
        requests: Method and path of each, or the name of the GraphQL operation.
        runs: Run id -> what the run was created with.
        lines: Run id -> file of the run's stream -> lines by their number.
        files: Run id -> names of the files that were put.
        views: Kind (``project-view``: a workspace, ``runs``: a report) -> what was saved.
        known_runs: Runs that the public API knows.
        artifacts: What each artifact was created with.
        contents: Path of a file that was put -> its bytes.
        sweeps: What each sweep was created with; its name is its number.
        trials: Parameters of the runs that the sweeps' agents have still to train.
        refusals: Part of a path or operation -> HTTP status to answer with.
    """

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.runs: dict[str, dict[str, Any]] = {}
        self.lines: dict[str, dict[str, dict[int, dict[str, Any]]]] = defaultdict(lambda: defaultdict(dict))
        self.files: dict[str, set[str]] = defaultdict(set)
        self.views: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.known_runs: set[str] = set()
        self.contents: dict[str, bytes] = {}
        self.artifacts: list[dict[str, Any]] = []
        self.sweeps: list[dict[str, Any]] = []
        self.trials: list[dict[str, Any]] = []
        self.refusals: dict[str, int] = {}
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.http.daemon_threads = True
        self.http.handle_error = lambda request, client_address: None  # type: ignore[method-assign]  # client hung up
        self.address = f"http://127.0.0.1:{self.http.server_port}"
        self._thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> "WandbServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.http.shutdown()
        self._thread.join()
        self.http.server_close()

    def history(self, run_id: str) -> list[dict[str, Any]]:
        """The rows that arrived, in the order of their lines."""
        return [row for _, row in sorted(self.lines[run_id]["wandb-history.jsonl"].items())]

    def summary(self, run_id: str) -> dict[str, Any]:
        """The last summary that arrived."""
        return self.lines[run_id]["wandb-summary.json"][0]

    def take(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """Status and answer of one request."""
        asked = json.loads(body) if path == "/graphql" else {}
        found = OPERATION.search(asked.get("query", ""))
        name = found[1] if found else f"{method} {path}"
        self.requests.append(name)
        for part, status in self.refusals.items():
            if part in name:
                return status, {"errors": [{"message": "refused by the test"}]}
        if asked:
            return 200, {"data": self._answer(name, asked.get("variables") or {})}
        if path.endswith("/file_stream"):
            run_id = path.split("/")[-2]
            for file, chunk in (json.loads(body).get("files") or {}).items():
                first = 0 if file.endswith(".json") else chunk["offset"]
                self.lines[run_id][file] |= dict(enumerate(map(json.loads, chunk["content"]), start=first))
        if method == "PUT":
            _, _, run_id, file = path.split("/", 3)
            self.files[run_id].add(file)
            self.contents[path] = body
        return 200, {}

    def _answer(self, name: str, given: dict[str, Any]) -> dict[str, Any]:
        entity = {"id": "RW50", "name": given.get("entity") or "team"}
        project = {"id": "UHJv", "name": given.get("project"), "entity": entity}
        if name in ALWAYS:
            return ALWAYS[name]
        if name == "RunResumeStatus":
            return {"model": {**project, "bucket": self._status(given["name"])}}
        if name == "UpsertBucket":
            run_id = given.get("name") or given["id"].removeprefix("id-")  # the public API knows it by its other id
            run = self.runs.setdefault(run_id, {})
            run |= {key: value for key, value in given.items() if value is not None}
            shown = {"id": "UnVu", "displayName": "shown", "config": "{}", "project": project}
            bucket = {**self._public(run_id), **shown}
            return {"upsertBucket": {"bucket": bucket, "inserted": True}}
        if "Artifact" in name:
            return self._artifact(name, given)
        if name == "CreateRunFiles":
            files = [
                {"name": file, "uploadUrl": f"{self.address}/put/{given['run']}/{file}"} for file in given["files"]
            ]
            return {"createRunFiles": {"runID": "UnVu", "uploadHeaders": [], "files": files}}
        return self._to_public_api(name, given, project)

    def _to_public_api(self, name: str, given: dict[str, Any], project: dict[str, Any]) -> dict[str, Any]:
        """What the dashboard and a sweep's agent ask for, and what the dashboard saves."""
        if "Sweep" in name or name in ("CreateAgent", "Heartbeat"):
            return self._to_agent(name, given, project)
        if name == "Run":
            return {"project": {"run": self._public(given["name"]) if given["name"] in self.known_runs else None}}
        if name in ("UpsertView2", "upsertView"):
            self.views[given["type"]].append(given)
            view = {"id": given.get("id") or f"id-{given['type']}", "type": given["type"], "name": given["name"]}
            told = {"displayName": given["displayName"], "description": "", "spec": given["spec"], "project": project}
            return {"upsertView": {"view": {**view, **told}, "inserted": True}}
        if name == "GetProjects":
            node = {
                "__typename": "Project", "id": "UHJv", "name": "unet-repro", "entityName": "team", "isBenchmark": False,
                "createdAt": "2026-01-01T00:00:00Z", "user": None, "internalId": "1",
            }  # fmt: skip
            page = {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False}
            return {"models": {"pageInfo": page, "edges": [{"node": node}]}}
        return {}

    def _artifact(self, name: str, given: dict[str, Any]) -> dict[str, Any]:
        """Takes an artifact: what it is, its manifest, its files."""
        if name == "CreateArtifact":
            self.artifacts.append(given["input"])
            artifact = {"id": "QXJ0", "state": "PENDING", "artifactSequence": {"id": "U2Vx", "latestArtifact": None}}
            return {"createArtifact": {"artifact": artifact}}
        upload = {"uploadUrl": f"{self.address}/put/artifact/manifest", "uploadHeaders": []}
        if "Manifest" in name:
            manifest = {"id": "TWFu", "file": {"id": "Rmls", **upload}}
            verb = name[0].lower() + name[1:]
            return {verb: {"artifactManifest": manifest}}
        if name == "CreateArtifactFiles":
            files = [
                {
                    "id": "Rmls", "name": file["name"], "displayName": file["name"], "uploadHeaders": [],
                    "uploadUrl": f"{self.address}/put/artifact/{file['name']}", "storagePath": None,
                    "uploadMultipartUrls": None, "artifact": {"id": "QXJ0"},
                }
                for file in given.get("artifactFiles") or given["input"]["artifactFiles"]
            ]  # fmt: skip
            edges = [{"node": file} for file in files]
            return {"createArtifactFiles": {"files": {"edges": edges}}}
        if name == "CommitArtifact":
            return {"commitArtifact": {"artifact": {"id": "QXJ0", "digest": "d"}}}
        return {}

    def _to_agent(self, name: str, given: dict[str, Any], project: dict[str, Any]) -> dict[str, Any]:
        """Creates a sweep, and has its agent train one run at a time until there is none left."""
        if name == "UpsertSweep":
            self.sweeps.append(given)
            sweep = {"id": "U3dl", "name": str(len(self.sweeps) - 1), "project": project}
            return {"upsertSweep": {"sweep": sweep, "configValidationWarnings": []}}
        if name == "SweepWithRuns":
            config = self.sweeps[int(given["sweep"])]["config"]
            return {"project": {"sweep": {"id": "U3dl", "config": config, "runs": {"edges": []}}}}
        if name == "CreateAgent":
            return {"createAgent": {"agent": {"id": "QWdl"}}}
        commands: list[dict[str, Any]] = []
        if name == "Heartbeat" and not json.loads(given["runState"]):
            commands = [{"type": "exit"}]
            if self.trials:
                args = {key: {"value": value} for key, value in self.trials.pop(0).items()}
                run = {"program": "unet-repro", "run_id": f"trial{len(self.trials)}", "args": args}
                commands = [{"type": "run", **run}]
        return {"agentHeartbeat": {"agent": {"id": "QWdl"}, "commands": json.dumps(commands)}}

    def tables(self) -> list[dict[str, Any]]:
        """Tables that were uploaded as parts of a run."""
        names = [path for path in self.contents if path.endswith(".table.json") and "/artifact/" not in path]
        return [json.loads(self.contents[name]) for name in names]

    def _public(self, run_id: str) -> dict[str, Any]:
        """A run as the public API shows it."""
        known = json.loads(self.runs.get(run_id, {}).get("config", "{}"))
        return {
            "id": f"id-{run_id}", "projectId": "1", "name": run_id, "displayName": run_id, "sweepName": None,
            "state": "finished", "config": json.dumps(known), "group": None, "jobType": "train", "commit": None,
            "readOnly": False, "createdAt": "2026-01-01T00:00:00Z", "heartbeatAt": None, "description": "", "notes": "",
            "systemMetrics": "{}", "summaryMetrics": "{}", "historyLineCount": 0, "tags": [], "historyKeys": None,
            "user": {"name": "user", "username": "user"},
        }  # fmt: skip

    def _status(self, run_id: str) -> dict[str, Any] | None:
        """What a resumed run receives about its earlier attempts."""
        if run_id not in self.runs:
            return None
        rows = self.history(run_id)
        return {
            "id": "UnVu", "name": run_id, "displayName": "shown", "config": self.runs[run_id].get("config", "{}"),
            "summaryMetrics": "{}", "tags": [], "logLineCount": 0, "eventsLineCount": 0, "eventsTail": "[]",
            "historyLineCount": len(rows), "historyTail": json.dumps([json.dumps(row) for row in rows[-1:]]),
            "wandbConfig": '{"t": 1}',
        }  # fmt: skip


def _handler(server: WandbServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base class's name)
            pass

        def _take(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, answer = server.take(self.command, self.path, body)
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = _take  # noqa: N815  (the base class's names)

    return Handler
