"""python3 -m scheduled {migrate|api|worker|probe}"""

import http.server
import json
import signal
import socket
import sys
import threading
import urllib.request

from .queue import SCHEMA, Queue

PORT = 8000


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    queue = None

    def do_GET(self):
        if self.path == "/health":
            return self.answer(200, {"schema": self.queue.schema()})
        result = self.queue.result(self.path.removeprefix("/jobs/"))
        if result is None:
            return self.answer(404, {"error": "no result"})
        self.answer(200, result)

    def do_POST(self):
        data = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))))
        self.answer(202, {"id": self.queue.put(str(data["text"]), float(data.get("in", 0)))})

    def answer(self, status, value):
        data = (json.dumps(value) + "\n").encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, form, *args):
        if self.path != "/health":
            print(self.headers.get("x-real-ip", self.client_address[0]), form % args)


def migrate():
    before = Queue().migrate()
    print(f"schema {before} -> {SCHEMA}" if before < SCHEMA else f"schema {SCHEMA} already")


def api():
    Handler.queue = Queue()
    if Handler.queue.schema() < SCHEMA:
        sys.exit("the data is too old: migrate first")
    print(f"api listens on port {PORT}")
    http.server.ThreadingHTTPServer(("", PORT), Handler).serve_forever()


def worker():
    queue, name, end = Queue(), socket.gethostname(), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: end.set())
    if queue.schema() < SCHEMA:
        sys.exit("the data is too old: migrate first")
    print("worker waits for jobs")
    while not end.is_set():
        job = queue.take()
        if job:
            queue.finish(job["id"], {"text": job["text"].upper(), "worker": name})
            print(f"did {job['id']}")
            continue
        due = queue.next_due()
        end.wait(0.2 if due is None else max(0.01, min(due, 0.2)))
    print("worker ends")


def probe():
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health", timeout=2) as answer:
        print(answer.read().decode().strip())


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
{"migrate": migrate, "api": api, "worker": worker, "probe": probe}[sys.argv[1]]()
