#!/usr/bin/env python3
"""Serve a classifier over HTTP/1.1: POST /score {"data": [[...], ...]} -> {"predictions": [...]}.

Without `--model-file`, a digit classifier is trained at start; the port opens when it is ready.
SIGTERM ends the server once every request it has begun to read is answered. Neither bodies nor
headers are ever logged: they belong to the callers.
"""

import argparse
import contextlib
import json
import signal
import socket
import sys
import threading
import time
import traceback
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Protocol, cast

import joblib
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

MAX_BODY = 4 << 20


class Model(Protocol):
    n_features_in_: int

    def predict(self, rows: np.ndarray) -> np.ndarray: ...


class RequestError(Exception):
    """A request to refuse, with the answer to give."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


def digit_classifier() -> Model:
    images, labels = load_digits(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return cast("Model", pipeline.fit(images, labels))


def parse_rows(body: bytes, width: int) -> np.ndarray:
    try:
        rows = np.array(json.loads(body)["data"])
    except (ValueError, TypeError, KeyError, RecursionError):
        # ValueError: no JSON, no UTF-8, or rows of different lengths.
        rows = np.array(None)
    if rows.ndim != 2 or rows.shape[1] != width or rows.dtype.kind not in "iuf":
        message = f'expected {{"data": [[{width} numbers], ...]}}'
        raise RequestError(HTTPStatus.BAD_REQUEST, message)
    if not np.isfinite(rows).all():
        raise RequestError(HTTPStatus.BAD_REQUEST, "numbers must be finite")
    return rows.astype(np.float64)


class Server(ThreadingTCPServer):
    # Not http.server's own class: that one looks its name up in DNS before it listens.
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], model: Model, sleep: float) -> None:
        self.model = model
        self.sleep = sleep
        self._lock = threading.Lock()
        self._idle: set[socket.socket] = set()
        self._draining = False
        super().__init__(address, Handler)

    def drain(self) -> None:
        """Accept no more, let requests end, and return when every connection's thread has."""
        with self._lock:
            self._draining = True
            for connection in self._idle:
                end_input(connection)
        self.shutdown()
        self.server_close()

    def idle(self, connection: socket.socket) -> None:
        with self._lock:
            self._idle.add(connection)
            if self._draining:
                end_input(connection)

    def busy(self, connection: socket.socket) -> None:
        with self._lock:
            self._idle.discard(connection)

    @property
    def draining(self) -> bool:
        return self._draining

    def handle_error(self, request: object, client_address: object) -> None:
        # Usually a caller that hung up: worth a line, not a traceback.
        print(f"connection failed: {type(sys.exception()).__name__}", file=sys.stderr)


def end_input(connection: socket.socket) -> None:
    """Let a waiting read see the end of input; a request that has arrived is still read."""
    with contextlib.suppress(OSError):  # The peer was quicker.
        connection.shutdown(socket.SHUT_RD)


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    timeout = 120  # Longer than proxies keep idle connections, so that they are the ones to close.
    disable_nagle_algorithm = True  # Head and body are two writes; the second must not wait.

    def handle_one_request(self) -> None:
        self.server.idle(self.connection)
        try:
            super().handle_one_request()
        finally:
            self.server.busy(self.connection)

    def parse_request(self) -> bool:
        # Called once the request line has been read.
        self.server.busy(self.connection)
        return super().parse_request()

    def do_GET(self) -> None:
        try:
            self.read_body()
            if self.path != "/":
                raise RequestError(HTTPStatus.NOT_FOUND, "there are GET / and POST /score")
            self.reply(HTTPStatus.OK, "text/plain", b"Healthy")
        except RequestError as error:
            self.refuse(error)

    def do_POST(self) -> None:
        try:
            body = self.read_body()
            if self.path != "/score":
                raise RequestError(HTTPStatus.NOT_FOUND, "there are GET / and POST /score")
            if body is None:
                raise RequestError(HTTPStatus.LENGTH_REQUIRED, "Content-Length is required")
            predictions = self.score(body)
            self.reply_json(HTTPStatus.OK, {"predictions": predictions})
        except RequestError as error:
            self.refuse(error)

    def score(self, body: bytes) -> list[object]:
        rows = parse_rows(body, self.server.model.n_features_in_)
        time.sleep(self.server.sleep)
        try:
            return cast("list[object]", self.server.model.predict(rows).tolist())
        except Exception as error:
            # Where, and what kind; the message may quote the data.
            traceback.print_tb(error.__traceback__)
            print(f"the model failed: {type(error).__name__}", file=sys.stderr)
            raise RequestError(HTTPStatus.INTERNAL_SERVER_ERROR, "the model failed") from error

    def read_body(self) -> bytes | None:
        """Read the body, if there is one. Left unread, it would pass for the next request."""
        lengths = self.headers.get_all("Content-Length", [])
        if "Transfer-Encoding" in self.headers:
            self.close_connection = True
            raise RequestError(HTTPStatus.LENGTH_REQUIRED, "chunked bodies are not supported")
        if not lengths:
            return None
        if len(lengths) > 1 or not (lengths[0].isascii() and lengths[0].isdigit()):
            self.close_connection = True
            raise RequestError(HTTPStatus.BAD_REQUEST, "bad Content-Length")
        if len(lengths[0]) > len(str(MAX_BODY)) or int(lengths[0]) > MAX_BODY:
            self.close_connection = True
            raise RequestError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body may have {MAX_BODY} bytes"
            )
        body = self.rfile.read(int(lengths[0]))
        if len(body) < int(lengths[0]):
            self.close_connection = True
            raise RequestError(HTTPStatus.BAD_REQUEST, "the body ended early")
        return body

    def refuse(self, error: RequestError) -> None:
        self.reply_json(error.status, {"error": str(error)})

    def reply_json(self, status: HTTPStatus, content: dict[str, object]) -> None:
        self.reply(status, "application/json", json.dumps(content).encode())

    def reply(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection or self.server.draining:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        # The base class's refusals (bad syntax, unknown method), as JSON and without an echo of
        # what was sent. Their bodies are unread.
        self.close_connection = True
        self.reply_json(HTTPStatus(code), {"error": HTTPStatus(code).phrase})

    def log_message(self, format: str, *args: object) -> None:
        pass  # Request lines may carry secrets.


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Serve a classifier over HTTP.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5001)
    parser.add_argument("--model-file", help="a fitted estimator saved by joblib; must be trusted")
    parser.add_argument(
        "--sleep-ms", type=int, default=0, help="delay every score, for tests (default: 0)"
    )
    args = parser.parse_args()
    if not 0 <= args.port < 2**16:
        parser.error("--port must be between 0 and 65535")
    if args.sleep_ms < 0:
        parser.error("--sleep-ms must be zero or more")
    return args


def main() -> None:
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())

    args = parse_args()
    model = cast("Model", joblib.load(args.model_file)) if args.model_file else digit_classifier()
    try:
        server = Server((args.host, args.port), model, args.sleep_ms / 1000)
    except OSError as error:
        sys.exit(f"cannot listen on {args.host}:{args.port}: {error.strerror}")
    loop = threading.Thread(target=server.serve_forever)
    loop.start()
    print(f"serving on http://{args.host}:{server.server_address[1]}")

    stop.wait()
    print("stopping: finishing requests")
    server.drain()
    loop.join()


if __name__ == "__main__":
    main()
