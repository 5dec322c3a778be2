"""A server for tests: it returns the given answers in turn and records the requests."""

import gzip
import http.server
import json
import threading
import unittest

from goldcrest import Client


class Answers(unittest.TestCase):
    """A server that returns the given answers in turn and records the requests."""

    def setUp(self):
        self.answers, self.calls, self.pauses = [], [], []
        test = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                test.calls.append((self.command, self.path, self.headers, json.loads(body) if body else None))
                status, headers, text = test.answers.pop(0)
                if not status:
                    self.close_connection = True
                    return
                text = text if isinstance(text, bytes) else json.dumps(text).encode()
                self.send_response(status)
                for name, value in {"Content-Length": str(len(text)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_DELETE = answer

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        self.api = Client(self.url + "/", "t0ken", sleep=self.pauses.append)

    def problem(self, status, retryable, headers=None, **more):
        return status, {"Content-Type": "application/problem+json", **(headers or {})}, {"retryable": retryable, **more}
