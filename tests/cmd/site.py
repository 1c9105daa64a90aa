# SPDX-License-Identifier: MIT
"""site.py - a web site of a few pages for tests/cmd/crawl.sh. Prints its port, serves until its
standard input ends, and answers /__hits with how often each path was asked for."""
import http.server
import json
import sys
import threading
import time

PAGES = {
    "/robots.txt": ("text/plain", "User-agent: *\nDisallow: /private\n"),
    "/": ("text/html", "<a href=/a>a</a> <a href=/b>b</a> <a href=/private>p</a>"),
    "/a": ("text/html", "<a href=/gone>gone</a> <a href=/>home</a>"),
    "/b": ("text/html", "<a href=/copy>copy</a> <a href=/moved>moved</a>"),
    "/copy": ("text/html", "<a href=/copy>copy</a> <a href=/moved>moved</a>"),
    "/private": ("text/html", "secret"),
}
HITS = {}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/__hits":
            self.reply(200, "application/json", json.dumps(HITS))
            return
        HITS[self.path] = HITS.get(self.path, 0) + 1
        if self.path.startswith("/slow/"):
            time.sleep(0.05)
            number = int(self.path.rpartition("/")[2])
            self.reply(200, "text/html", "<a href=/slow/%d>next</a>" % (number + 1))
        elif self.path == "/moved":
            self.reply(301, "text/html", "", ("Location", "/a"))
        elif self.path in PAGES:
            self.reply(200, *PAGES[self.path])
        else:
            self.reply(404, "text/plain", "no")

    def reply(self, status, content_type, text, *fields):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in fields:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        pass


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


main()
