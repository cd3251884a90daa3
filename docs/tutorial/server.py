"""What server.js does, for machines without node.js: answers every request with "Hello World"."""

from __future__ import annotations

import os
import socketserver
from http.server import BaseHTTPRequestHandler


class Greeter(BaseHTTPRequestHandler):
    """Knows one answer."""

    def do_GET(self) -> None:
        """Answer a GET request."""
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(b"Hello World\n")


class Server(socketserver.TCPServer):
    """Like http.server.HTTPServer, which would first ask the name service who we are."""

    allow_reuse_address = True


Server(("127.0.0.1", int(os.environ["PORT"])), Greeter).serve_forever()
