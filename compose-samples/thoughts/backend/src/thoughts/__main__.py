"""python3 -m thoughts --port N: serve the API. The store is THOUGHTS_STORE."""

import argparse
import http.server
import json
import os
import signal
import urllib.parse

from . import __version__
from .store import Store
from .thought import Invalid, Thought


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store = None

    def do_GET(self):
        path, _, query = self.path.partition("?")
        if path == "/":
            return self.answer(200, {"thoughts": __version__})
        if path == "/thoughts":
            author = urllib.parse.parse_qs(query).get("author", [""])[0]
            return self.answer(200, [{"id": key, "text": text} for key, text in self.store.by(author)])
        key = path.removeprefix("/thoughts/")
        row = self.store.get(int(key)) if key.isdigit() else None
        if row is None:
            return self.answer(404, {"error": "nobody has thought that yet"})
        self.answer(200, {"author": row[0], "text": row[1]})

    def do_POST(self):
        if self.path != "/thoughts":
            return self.answer(404, {"error": "post thoughts to /thoughts"})
        data = self.rfile.read(int(self.headers.get("content-length", 0)))
        try:
            key = self.store.add(Thought.parse(json.loads(data)))
        except json.JSONDecodeError:
            return self.answer(400, {"error": "that isn't JSON"})
        except Invalid as problem:
            return self.answer(422, {"error": str(problem)})
        self.answer(201, {"id": key})

    def answer(self, status, value):
        data = (json.dumps(value) + "\n").encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def main():
    parser = argparse.ArgumentParser(prog="thoughts")
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    # As process 1 nothing ends us on SIGTERM unless we do. At once: an exception could be lost in a driver's import.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
    Handler.store = Store(os.environ["THOUGHTS_STORE"])
    print(f"thoughts {__version__} listens on port {port}")
    http.server.ThreadingHTTPServer(("", port), Handler).serve_forever()


main()
