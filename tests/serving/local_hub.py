"""A Hugging Face hub of one process, on this machine: as much as a push and a pull ask of it."""

import base64
import json
import re
from contextlib import contextmanager
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class LocalHub:
    """`files[repository]` is what was pushed, by name.

    Args:
        refuses: Answer everything with 403.
    """

    def __init__(self, refuses=False):
        self.files, self.private, self.refuses = {}, {}, refuses

    def post(self, path, body):
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = "/".join(filter(None, (asked.get("organization"), asked["name"])))
            self.files.setdefault(name, {".gitattributes": b""})
            self.private[name] = asked.get("private", asked.get("visibility") == "private")
            return {"url": f"{self.url}/{name}", "name": name}
        if path == "/api/validate-yaml":
            return {"errors": [], "warnings": []}
        if match := re.fullmatch(r"/api/models/(.+)/preupload/main", path):
            asked = json.loads(body)["files"]
            modes = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in asked
            ]
            return {"files": modes}
        if match := re.fullmatch(r"/api/models/(.+)/commit/main", path):
            return self.commit(match[1], map(json.loads, body.splitlines()))
        return None

    def commit(self, name, lines):
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                self.files[name][value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "deletedFile":
                del self.files[name][value["path"]]
        head = self.head(name)
        url = f"{self.url}/{name}/commit/{head}"
        return {"success": True, "commitOid": head, "commitUrl": url, "hookOutput": ""}

    def head(self, name):
        """The name of the commit that has these files."""
        return sha1(repr(sorted(self.files.get(name, {}).items())).encode()).hexdigest()

    def get(self, path):
        if match := re.fullmatch(r"/api/models/(.+?)/tree/[^/]+", path):
            there = self.files.get(match[1])
            return there and [
                {"type": "file", "path": p, "size": len(c), "oid": sha1(c).hexdigest()}
                for p, c in there.items()
            ]
        if match := re.fullmatch(r"/api/models/(.+?)(/revision/[^/]+)?", path):
            there = self.files.get(match[1])
            siblings = [{"rfilename": name} for name in there or ()]
            return there and {"id": match[1], "sha": self.head(match[1]), "siblings": siblings}
        if match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", path):
            return self.files.get(match[1], {}).get(match[2])
        return None


def take_for_the_hub(patch, url):
    """Let huggingface_hub, which reads its address once, ask here."""
    patch.setattr("huggingface_hub.constants.ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    patch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    patch.setenv("HF_TOKEN", "hf_of_a_test")


@contextmanager
def local_hub(patch, **options):
    """Run it, and let huggingface_hub take it for the hub."""
    hub = LocalHub(**options)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, said):
            path = self.path.partition("?")[0]
            if hub.refuses:
                return self.send(403, json.dumps({"error": "no write access"}).encode(), {})
            if said is None:
                return self.send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
            content = said if isinstance(said, bytes) else json.dumps(said).encode()
            etag = {
                "ETag": f'"{sha1(content).hexdigest()}"',
                "X-Repo-Commit": hub.head("/".join(path.split("/")[1:3])),
            }
            return self.send(200, content, etag if "/resolve/" in path else {})

        def send(self, status, content, headers):
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def do_GET(self):
            self.answer(hub.get(self.path.partition("?")[0]))

        do_HEAD = do_GET  # noqa: N815

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.answer(hub.post(self.path.partition("?")[0], body))

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    take_for_the_hub(patch, hub.url)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
