"""A collector: receives what is sent over OTLP/HTTP, and decodes it by OpenTelemetry's own definitions."""

from __future__ import annotations

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector:
    """Listens on loopback; `spans`, `records` and `metrics` are what has come."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.records: list[Any] = []
        self.metrics: list[Any] = []
        self.headers: list[dict[str, str]] = []
        # The sender of logs with this event waits for its answer until `answers` is set.
        self.holds = ""
        self.answers = threading.Event()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                collector.headers.append({name.lower(): value for name, value in self.headers.items()})
                if collector.holds in collector.receive(self.path, body):
                    collector.answers.wait()
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def receive(self, path: str, body: bytes) -> set[str]:
        """Decode one request. Returns the names of its events."""
        if path == "/v1/traces":
            found = ExportTraceServiceRequest.FromString(body)
            self.spans += [s for r in found.resource_spans for scope in r.scope_spans for s in scope.spans]
        elif path == "/v1/logs":
            logs = ExportLogsServiceRequest.FromString(body)
            records = [s for r in logs.resource_logs for scope in r.scope_logs for s in scope.log_records]
            self.records += records
            return {one.event_name for one in records}
        else:
            metrics = ExportMetricsServiceRequest.FromString(body)
            self.metrics += [s for r in metrics.resource_metrics for scope in r.scope_metrics for s in scope.metrics]
        return set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.answers.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def attributes_of(span: Any) -> dict[str, Any]:
    """A span's attributes as values."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}
