import errno
import hashlib
import io
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import numpy as np
import pytest

from foolscope.core.errors import DataError
from foolscope.data.download import download

CONTENT = np.random.default_rng(0).bytes(700_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Paths say how the mirror behaves."""

    def do_GET(self):
        asked = self.headers.get("Range")
        self.server.requests.append((self.path, asked))
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        content, promised = CONTENT, None
        if self.path == "/missing":
            self.send_error(404)
            return
        if self.path == "/wrong":
            content = bytes(len(CONTENT))
        if self.path == "/page":
            content = b"<html>please log in</html>"
        if self.path == "/long":
            content = CONTENT + b"x"
        if self.path == "/norange":
            start = 0
        if self.path == "/liar":
            start, asked = 0, "bytes"
        body = content[start:]
        if self.path == "/truncates":
            promised = len(body)
            body = body[:300_000]
        self.send_response(206 if asked and self.path != "/norange" else 200)
        if asked and self.path != "/norange":
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if self.path != "/unsaid":
            self.send_header("Content-Length", str(promised or len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


class Server(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """A client that hangs up is part of the tests."""


@pytest.fixture
def server():
    with Server(("127.0.0.1", 0), Handler) as running:
        running.requests = []
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def fetch(server, tmp_path, monkeypatch):
    """Download from paths of the server into a folder; returns what a test looks at."""
    monkeypatch.setenv("no_proxy", "*")
    target = tmp_path / "deep" / "file.bin"

    def run(*paths, progress=None):
        urls = [f"http://127.0.0.1:{server.server_port}{path}" for path in paths]
        download(urls, target, size=len(CONTENT), sha256=SHA256, progress=progress, timeout_seconds=5.0)

    return SimpleNamespace(
        run=run, target=target, partial=target.with_name("file.bin.partial"), requests=server.requests
    )


def prepare_partial(fetch, content):
    fetch.partial.parent.mkdir(parents=True)
    fetch.partial.write_bytes(content)


def assert_complete(fetch):
    assert fetch.target.read_bytes() == CONTENT
    assert not fetch.partial.exists()


def test_whole_file_with_progress(fetch):
    seen = []
    fetch.run("/good", progress=lambda *arguments: seen.append(arguments))
    assert_complete(fetch)
    assert seen[0] == ("file.bin", 0, len(CONTENT))
    assert seen[-1] == ("file.bin", len(CONTENT), len(CONTENT))
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)


def test_resumes_where_it_stopped(fetch):
    prepare_partial(fetch, CONTENT[:123_456])
    fetch.run("/good")
    assert_complete(fetch)
    assert fetch.requests == [("/good", "bytes=123456-")]


def test_truncated_connection_keeps_what_came_and_the_next_call_goes_on(fetch):
    with pytest.raises(
        DataError, match=r"ended after 300,000 of 700,000.*go on from 300,000 bytes.*put it into"
    ):
        fetch.run("/truncates")
    assert fetch.partial.read_bytes() == CONTENT[:300_000]
    assert not fetch.target.exists()
    fetch.run("/good")
    assert_complete(fetch)
    assert fetch.requests[-1] == ("/good", "bytes=300000-")


def test_next_mirror_goes_on_where_the_first_broke_off(fetch):
    fetch.run("/truncates", "/good")
    assert_complete(fetch)
    assert fetch.requests == [("/truncates", None), ("/good", "bytes=300000-")]


def test_server_without_ranges_starts_over(fetch):
    prepare_partial(fetch, CONTENT[:123_456])
    fetch.run("/norange")
    assert_complete(fetch)
    assert fetch.requests == [("/norange", "bytes=123456-")]


def test_server_without_lengths(fetch):
    fetch.run("/unsaid")
    assert_complete(fetch)


def test_wrong_digest_then_the_next_mirror_from_the_start(fetch):
    fetch.run("/wrong", "/good")
    assert_complete(fetch)
    assert fetch.requests == [("/wrong", None), ("/good", None)]


def test_wrong_digest_everywhere_leaves_nothing(fetch):
    with pytest.raises(DataError, match="another SHA-256"):
        fetch.run("/wrong", "/wrong")
    assert not fetch.partial.exists()
    assert not fetch.target.exists()


def test_damaged_partial_costs_one_more_try_not_the_mirror(fetch):
    prepare_partial(fetch, bytes(200_000))
    fetch.run("/good")
    assert_complete(fetch)
    assert fetch.requests == [("/good", "bytes=200000-"), ("/good", None)]


def test_complete_partial_needs_no_network(fetch):
    prepare_partial(fetch, CONTENT)
    fetch.run("/missing")
    assert_complete(fetch)
    assert fetch.requests == []


def test_too_long_a_partial_starts_over(fetch):
    prepare_partial(fetch, CONTENT + b"more")
    fetch.run("/good")
    assert_complete(fetch)


@pytest.mark.parametrize(
    ("path", "message"),
    [("/missing", "HTTP 404"), ("/page", "its file has 26 bytes, not 700,000"), ("/long", "700,001 bytes")],
)
def test_mirrors_that_have_not_got_it(fetch, path, message):
    prepare_partial(fetch, CONTENT[:10]) if path != "/page" else None
    fetch.run(path, "/good")
    assert_complete(fetch)
    fetch.target.unlink()
    with pytest.raises(DataError, match=message):
        fetch.run(path)


def test_range_that_is_not_what_was_asked_for(fetch):
    prepare_partial(fetch, CONTENT[:10])
    with pytest.raises(DataError, match="asked for the bytes from 10"):
        fetch.run("/liar")
    assert fetch.partial.read_bytes() == CONTENT[:10]


def test_no_server_at_all_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(DataError) as caught:
        download(
            ["http://127.0.0.1:1/a.gz", "http://127.0.0.1:2/a.gz"], tmp_path / "a.gz", size=1, sha256="0" * 64
        )
    text = str(caught.value)
    assert "127.0.0.1:1 (" in text
    assert "127.0.0.1:2 (" in text
    assert str(tmp_path) in text
    assert "\n" not in text


def test_no_space_is_said_before_and_during(fetch, monkeypatch):
    real = shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(DataError, match=r"not enough space .*700,000 bytes are needed, 1,000 are free"):
        fetch.run("/good")
    monkeypatch.setattr(shutil, "disk_usage", real)

    class Full(io.BytesIO):
        def write(self, block):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pathlib.Path.open", lambda *_: Full())
    with pytest.raises(DataError, match="No space left on device; free some space"):
        fetch.run("/good", "/good")
    assert len(fetch.requests) == 1


def test_interruption_keeps_what_came(fetch):
    def interrupt(name, done, total):
        if done > 100_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch.run("/good", progress=interrupt)
    kept = fetch.partial.read_bytes()
    assert len(kept) > 100_000
    assert CONTENT.startswith(kept)
    fetch.run("/good")
    assert_complete(fetch)
