"""Fetch: against a server on loopback that drops connections, lies about length and changes its files."""

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import attrs
import numpy as np
import pytest

from myoflow.card import Download, load_card
from myoflow.data import fetch as module
from myoflow.data.fetch import fetch
from myoflow.errors import InputError, MyoflowError
from myoflow.progress import Progress
from myoflow.typed import Mismatch

DATA = np.random.default_rng(0).bytes(3_000_000)
SUM = hashlib.sha256(DATA).hexdigest()


class Server:
    """What the next requests meet. `drop_after`: bytes of each answer until the line breaks."""

    def __init__(self):
        self.data = DATA
        self.tag = '"one"'
        self.drop_after = None
        self.ranges = True
        self.length = None
        self.status = []
        self.kind = "application/zip"
        self.asked = []


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(module, "_PAUSE_S", 0.0)
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            wanted = self.headers.get("Range")
            state.asked.append(wanted)
            if state.status:
                self.send_error(state.status.pop(0))
                return
            start = 0
            if wanted and state.ranges and self.headers.get("If-Range") == state.tag:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start and start >= len(state.data):
                self.send_error(416)
                return
            body = state.data[start:]
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(state.data) - 1}/{len(state.data)}")
            if state.tag:
                self.send_header("ETag", state.tag)
            self.send_header("Content-Type", state.kind)
            self.send_header("Content-Length", str(state.length or len(body)))
            self.end_headers()
            self.wfile.write(body[: state.drop_after])
            self.close_connection = True

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{httpd.server_port}/set%201.zip"
    yield state
    httpd.shutdown()
    httpd.server_close()


def card(server, **download):
    return attrs.evolve(
        load_card("uci_emg"), home="https://example.org/set", downloads={"set 1.zip": Download(server.url, **download)}
    )


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_fetched_once_and_its_hash_is_kept(server, tmp_path):
    done = fetch(card(server), tmp_path / "raw")
    assert (tmp_path / "raw" / "set 1.zip").read_bytes() == DATA
    assert (done.files, done.new) == (("set 1.zip",), ("set 1.zip",))
    assert names(tmp_path / "raw") == [".fetched.json", "set 1.zip"]
    entry = json.loads((tmp_path / "raw" / ".fetched.json").read_text())["set 1.zip"]
    assert entry == {"url": server.url, "bytes": len(DATA), "sha256": SUM}
    again = fetch(card(server), tmp_path / "raw")
    assert (again.files, again.new) == (done.files, ())
    assert str(again) == f"{tmp_path / 'raw'}: 0 files downloaded, 1 were there"
    assert server.asked == [None]


def test_a_dropped_line_resumes_where_it_broke(server, tmp_path):
    server.drop_after = 700_000
    fetch(card(server, sha256=SUM), tmp_path)
    assert (tmp_path / "set 1.zip").read_bytes() == DATA
    assert server.asked == [None, *(f"bytes={700_000 * n}-" for n in range(1, 5))]


def test_a_stopped_download_resumes_in_the_next_call(server, tmp_path):
    server.drop_after = 1_000_000

    class Stop(Progress):
        @contextmanager
        def phase(self, title, total=None):
            def advance(steps):
                if server.asked[1:]:
                    raise KeyboardInterrupt

            yield advance

    with pytest.raises(KeyboardInterrupt):
        fetch(card(server), tmp_path, Stop())
    kept = (tmp_path / ".set 1.zip.part").stat().st_size
    assert 1_000_000 <= kept < len(DATA)
    assert not (tmp_path / "set 1.zip").exists()
    server.drop_after = None
    server.asked.clear()
    fetch(card(server), tmp_path)
    assert server.asked == [f"bytes={kept}-"]
    assert (tmp_path / "set 1.zip").read_bytes() == DATA


def test_a_server_that_knows_no_ranges_is_asked_from_the_start(server, tmp_path):
    server.ranges = False
    server.status = [503]
    (tmp_path / ".set 1.zip.part").write_bytes(b"x" * 1000)
    (tmp_path / ".set 1.zip.part.json").write_text(json.dumps({"tag": '"one"', "total": len(DATA)}))
    fetch(card(server), tmp_path)
    assert server.asked == ["bytes=1000-", "bytes=1000-"]
    assert (tmp_path / "set 1.zip").read_bytes() == DATA


def test_a_file_that_changes_between_two_requests_is_not_patched_together(server, tmp_path):
    (tmp_path / ".set 1.zip.part").write_bytes(b"old" * 1000)
    (tmp_path / ".set 1.zip.part.json").write_text(json.dumps({"tag": '"zero"', "total": len(DATA)}))
    fetch(card(server), tmp_path)
    assert server.asked == ["bytes=3000-"]
    assert (tmp_path / "set 1.zip").read_bytes() == DATA


def test_what_was_whole_but_not_renamed_is_not_sent_again(server, tmp_path):
    (tmp_path / ".set 1.zip.part").write_bytes(DATA)
    (tmp_path / ".set 1.zip.part.json").write_text(json.dumps({"tag": '"one"', "total": len(DATA)}))
    fetch(card(server, sha256=SUM), tmp_path)
    assert server.asked == [f"bytes={len(DATA)}-"]
    assert names(tmp_path) == [".fetched.json", "set 1.zip"]


def test_a_promise_that_is_never_kept_ends_in_an_error(server, tmp_path):
    server.length = len(DATA) + 5
    server.ranges = False
    with pytest.raises(MyoflowError, match=r"failed 6 times after 3,000,000 bytes: it sent less than it promised"):
        fetch(card(server), tmp_path)
    assert not (tmp_path / "set 1.zip").exists()


def test_a_file_shorter_than_the_card_says_is_refused(server, tmp_path):
    server.length = 1000
    with pytest.raises(MyoflowError, match=r"has 1,000 bytes, but the card says 3,000,000"):
        fetch(card(server, bytes=len(DATA)), tmp_path)
    with pytest.raises(MyoflowError, match=r"SHA-256 .* but the card's is .* Nothing was kept"):
        fetch(card(server, sha256=SUM), tmp_path)
    assert not any(name.endswith((".zip", ".part")) for name in names(tmp_path))


def test_a_published_md5_is_asked_of_the_download(server, tmp_path):
    with pytest.raises(
        MyoflowError, match=r"not the published file: MD5 \w{32}, but the card's is 0{32}\. Nothing was kept"
    ):
        fetch(card(server, md5="0" * 32), tmp_path)
    assert not any(name.endswith((".zip", ".part")) for name in names(tmp_path))
    fetch(card(server, md5=hashlib.md5(DATA).hexdigest()), tmp_path)
    assert (tmp_path / "set 1.zip").read_bytes() == DATA


def test_a_file_that_is_another_by_now_is_refused(server, tmp_path):
    fetch(card(server), tmp_path)
    server.data, server.tag = DATA[::-1], '"two"'
    (tmp_path / "set 1.zip").unlink()
    with pytest.raises(MyoflowError, match=r"is not the file it was: .* the first download's, kept in"):
        fetch(card(server), tmp_path)
    assert names(tmp_path) == [".fetched.json", ".set 1.zip.part.json"]
    (tmp_path / ".fetched.json").write_text("{}")  # as the message says
    fetch(card(server), tmp_path)
    (tmp_path / "set 1.zip").write_bytes(b"changed here")
    with pytest.raises(MyoflowError, match="has changed on this disk"):
        fetch(card(server), tmp_path)


def test_answers_that_are_no_file(server, tmp_path):
    server.kind = "text/html"
    with pytest.raises(InputError, match=r"gave a web page instead of set 1\.zip: a login, perhaps"):
        fetch(card(server), tmp_path)
    server.status = [404]
    with pytest.raises(InputError, match=r"answered 404 .* from https://example\.org/set"):
        fetch(card(server), tmp_path)
    assert len(server.asked) == 2
    server.status = [500] * 6
    with pytest.raises(MyoflowError, match="failed 6 times after 0 bytes: it answered 500"):
        fetch(card(server), tmp_path)


def test_no_server_at_all(server, tmp_path):
    gone = attrs.evolve(card(server), downloads={"a.zip": Download("http://127.0.0.1:9/a.zip")})
    with pytest.raises(MyoflowError, match=r"downloading http://127\.0\.0\.1:9/a\.zip failed 6 times"):
        fetch(gone, tmp_path)


def test_a_disk_without_room_is_told_before_the_download(server, tmp_path, monkeypatch):
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 64 << 20})())
    with pytest.raises(InputError, match=r"set 1\.zip needs 3 MB in .*, which has 67 MB free"):
        fetch(card(server), tmp_path)


def test_sets_behind_a_login_say_where_to_get_them(tmp_path):
    behind = attrs.evolve(load_card("uci_emg"), downloads={}, login="An account is needed", home="https://example.org")
    with pytest.raises(InputError) as error:
        fetch(behind, tmp_path / "raw")
    text = str(error.value)
    assert "An account is needed. Get EMG_data_for_gestures-master.zip" in text
    assert f"from https://example.org, put them into {tmp_path / 'raw'}, then: myoflow convert uci_emg" in text
    assert not (tmp_path / "raw").exists()
    with pytest.raises(InputError, match="is simulated"):
        fetch(load_card("simulated_gestures"), tmp_path)


def test_cards_with_bad_downloads_are_refused(tmp_path):
    wrong = [{"url": "file:///etc/passwd"}, *({"url": "https://a/b.zip", kind: "12"} for kind in ("sha256", "md5"))]
    for values in wrong:
        with pytest.raises(Mismatch):
            Download(**values)
    for name in ("", "../a", ".hidden", "a\\b"):
        bad = attrs.evolve(load_card("uci_emg"), downloads={name: Download("https://example.org/a")})
        with pytest.raises(InputError, match="is no file name"):
            fetch(bad, tmp_path)


def test_downloads_come_from_the_card(tmp_path):
    path = tmp_path / "mine.yaml"
    text = "title: A\nreader: uci_text\nchannels: [a]\nrate: 1 kHz\nlabels: [x, y]\ndownloads:\n"
    path.write_text(text + f"  a.zip: {{url: 'https://example.org/a.zip', bytes: 12, sha256: {SUM}, unpack: true}}\n")
    expected = {"a.zip": Download("https://example.org/a.zip", bytes=12, sha256=SUM, unpack=True)}
    assert load_card(str(path)).downloads == expected
    path.write_text(text + "  a.zip: {url: 'ftp://example.org/a.zip'}\n")
    with pytest.raises(InputError, match=r"mine\.yaml:7:.*http"):
        load_card(str(path))


def test_progress_counts_megabytes(server, tmp_path):
    steps = []

    class Told(Progress):
        @contextmanager
        def phase(self, title, total=None):
            steps.append(title)
            yield steps.append

    server.drop_after = 1_500_000
    fetch(card(server, bytes=len(DATA)), tmp_path, Told())
    assert steps[0] == "Downloading set 1.zip (MB)"
    assert sum(steps[1:]) == len(DATA) >> 20
