"""A W&B server on loopback that takes what the real client sends, and keeps it."""

import json
import re
import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

OPERATION = re.compile(r"(?:query|mutation)\s+(\w+)")


class WandbServer:
    """Records the requests of W&B's client.

    Attributes:
        requests: Method and path of each, or the name of the GraphQL operation.
        runs: Run id -> what the run was created with.
        lines: Run id -> file of the run's stream -> lines by their number.
        files: Run id -> names of the files that were put.
        refusals: Part of a path or operation -> HTTP status to answer with.
    """

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.runs: dict[str, dict[str, Any]] = {}
        self.lines: dict[str, dict[str, dict[int, dict[str, Any]]]] = defaultdict(lambda: defaultdict(dict))
        self.files: dict[str, set[str]] = defaultdict(set)
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
        return 200, {}

    def _answer(self, name: str, given: dict[str, Any]) -> dict[str, Any]:
        entity = {"id": "RW50", "name": given.get("entity") or "team"}
        project = {"id": "UHJv", "name": given.get("project"), "entity": entity}
        if name == "Viewer":
            return {"viewer": {"id": "VXNl", "entity": "team", "username": "user", "flags": "{}"}}
        if name == "ServerFeaturesQuery":
            return {"serverInfo": {"features": []}}
        if name == "RunResumeStatus":
            return {"model": {**project, "bucket": self._status(given["name"])}}
        if name == "UpsertBucket":
            run = self.runs.setdefault(given["name"], {})
            run |= {key: value for key, value in given.items() if value is not None}
            bucket = {"id": "UnVu", "name": given["name"], "displayName": "shown", "config": "{}", "project": project}
            return {"upsertBucket": {"bucket": bucket, "inserted": True}}
        if name == "CreateRunFiles":
            files = [
                {"name": file, "uploadUrl": f"{self.address}/put/{given['run']}/{file}"} for file in given["files"]
            ]
            return {"createRunFiles": {"runID": "UnVu", "uploadHeaders": [], "files": files}}
        return {}

    def _status(self, run_id: str) -> dict[str, Any] | None:
        """What a run that goes on is told about its earlier attempts."""
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
