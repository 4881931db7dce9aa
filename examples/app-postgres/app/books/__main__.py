"""python3 -m books: serve the API on port 8000.  python3 -m books check: is it healthy?"""

import configparser
import http.server
import json
import signal
import sys
import urllib.request

from . import store

PORT = 8000


def settings():
    config = configparser.ConfigParser()
    config.read("/etc/books/app.ini")
    library = config["library"] if config.has_section("library") else {}
    titles = [line for line in library.get("first_books", "").splitlines() if line]
    return library.get("name", "Library"), titles


class Handler(http.server.BaseHTTPRequestHandler):
    name = "Library"
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/":
            self.answer(200, {"library": self.name, "books": len(store.books())})
        elif self.path == "/health":
            self.answer(200, store.server())
        elif self.path == "/books":
            self.answer(200, store.books())
        else:
            self.answer(404, {"error": f"no such page: {self.path}"})

    def do_POST(self):
        if self.path != "/books":
            return self.answer(404, {"error": f"no such page: {self.path}"})
        try:
            body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))))
            title = body["title"].strip()
        except (ValueError, KeyError, TypeError, AttributeError):
            return self.answer(400, {"error": 'expected {"title": "..."}'})
        if not title:
            return self.answer(400, {"error": "the title is empty"})
        try:
            self.answer(201, store.add(title))
        except ValueError as problem:
            self.answer(409, {"error": str(problem)})

    def answer(self, status, value):
        data = (json.dumps(value) + "\n").encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, form, *args):
        # Probes would drown everything else.
        if self.path != "/health":
            print(self.client_address[0], form % args)


def check():
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health", timeout=4) as answer:
        print(answer.read().decode().strip())


def serve():
    Handler.name, titles = settings()
    store.prepare(titles)
    # As process 1 nothing ends us on SIGTERM unless we do.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"{Handler.name}: {store.server()['server']}, listening on port {PORT}")
    http.server.ThreadingHTTPServer(("", PORT), Handler).serve_forever()


if sys.argv[1:] == ["check"]:
    check()
else:
    serve()
