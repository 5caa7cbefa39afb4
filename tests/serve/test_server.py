"""The HTTP server: answers are the system's own, limits hold, versions change without a loss."""

import concurrent.futures
import contextlib
import dataclasses
import http.client
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pytest

fastapi = pytest.importorskip("fastapi", reason="install the extra `serve`")
from fastapi import testclient

import zoo
from zoo.data import toy
from zoo.serve import limits, server

LIMITS = limits.Limits(k=20, batch=16, text=200, queue=64, excluded=16, history=16)
JSON = {"Content-Type": "application/json", "Host": "localhost"}


def started(folder, *names, **changes):
    allowed = dataclasses.replace(LIMITS, **changes)
    app = server.build([str(folder / name) for name in names], allowed, hosts=frozenset())
    client = testclient.TestClient(app, raise_server_exceptions=False)
    client.__enter__()
    until = time.monotonic() + 120
    while client.get("/health").status_code != 200:
        assert time.monotonic() < until, "never ready"
        time.sleep(0.02)
    return client


@pytest.fixture(scope="module")
def client(folder):
    found = started(folder, "bm25", "popular")
    yield found
    found.__exit__(None, None, None)


def test_answers_are_those_of_the_system_with_titles_and_version(client, folder):
    query = toy.build(40).queries.texts[0]
    found = client.post("/search", json={"query": query, "k": 5}).json()
    fitted = zoo.load(folder / "bm25")
    expected = zoo.retrieve(fitted, query, k=5)[0]
    assert [(each["id"], each["title"]) for each in found["answers"]] == [
        (each.document, each.title) for each in expected
    ]
    health = {each["name"]: each for each in client.get("/health").json()["systems"]}
    assert found["version"] == health["bm25"]["version"] and found["system"] == "bm25"


def test_requests_that_arrive_together_get_their_own_answers(client):
    texts = [text for text in toy.build(40).queries.texts if text.strip()][:16]
    alone = [client.post("/search", json={"query": each, "k": 3}).json() for each in texts]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        ask = lambda each: client.post("/search", json={"query": each, "k": 3}).json()
        assert list(pool.map(ask, texts)) == alone
    many = client.post("/batch", json={"queries": texts, "k": 3}).json()
    assert many["answers"] == [each["answers"] for each in alone]


def test_documents_are_allowed_and_excluded_per_request(client):
    query = toy.build(40).queries.texts[0]
    ask = lambda **more: [
        each["id"]
        for each in client.post("/search", json={"query": query, **more}).json()["answers"]
    ]
    best = ask(k=4)
    assert ask(k=3, excluded=best[:1]) == best[1:4]
    assert ask(k=3, allowed=best[1:3]) == best[1:3]
    assert ask(k=3, allowed=best[1:3], excluded=best[1:2]) == best[2:3]


def test_a_recommendation_leaves_out_the_history(client):
    item = toy.interactions(40, 60).corpus.ids[0]
    ask = lambda **more: [
        each["id"] for each in client.post("/recommend", json={"k": 3, **more}).json()["answers"]
    ]
    best = ask(history=[item])
    again = ask(history=best[:1], leave_out_history=True)
    assert best[0] not in again and again[:2] == best[1:3]


@pytest.mark.parametrize(
    ("path", "body", "status", "reason"),
    (
        ("/search", {"query": " "}, 422, "empty"),
        ("/search", {"query": "x" * 300}, 422, "at most 200 characters"),
        ("/search", {"query": "x", "k": 21}, 422, "k of at most 20"),
        ("/search", {"query": "x", "k": 0}, 422, "k: "),
        ("/search", {"query": "x", "beam": 5}, 422, "has no beam"),
        ("/search", {"query": "x", "kk": 5}, 422, "kk"),
        ("/search", {"query": "x", "system": "nobody"}, 404, "no system 'nobody'"),
        ("/search", {"query": "x", "system": "popular"}, 422, "does not ask for a text"),
        ("/search", {"query": "x", "excluded": ["nothing"]}, 422, "no document 'nothing'"),
        ("/recommend", {"history": ["nothing"]}, 422, "not in the corpus"),
        ("/batch", {"queries": ["x"] * 17}, 422, "1 to 16 queries"),
        ("/batch", {}, 422, "one of the two"),
        ("/reload", {"system": "bm25", "folder": "../../etc"}, 403, "machine itself"),
    ),
)
def test_a_request_out_of_bounds_is_refused_with_a_reason(client, path, body, status, reason):
    found = client.post(path, json=body)
    assert found.status_code == status, found.text
    assert reason in found.json()["error"]["reason"]


@pytest.mark.parametrize(
    ("path", "body", "status", "reason"),
    (
        ("/search", b'{"query": "\xff"}', 400, "not JSON in UTF-8"),
        ("/search", b"[" * 9999, 400, "not JSON in UTF-8"),
        ("/nowhere", b"{}", 404, "Not Found"),
    ),
)
def test_a_request_that_no_route_reads_is_refused_alike(client, path, body, status, reason):
    found = client.post(path, content=body, headers=JSON)
    assert found.status_code == status
    assert set(found.json()) == {"error"}
    assert reason in reason_of(found)


def reason_of(found):
    return found.json()["error"]["reason"]


def test_bodies_hosts_and_content_types_are_guarded(folder):
    app = server.build([str(folder / "bm25")], LIMITS, hosts=server.LOOPBACK)
    with testclient.TestClient(app, base_url="http://localhost") as client:
        assert client.get("/health", headers={"Host": "evil.example"}).status_code == 421
        large = client.post("/search", content=b"x" * (LIMITS.body + 1), headers=JSON)
        assert large.status_code == 413
        form = client.post("/search", data={"query": "x"})
        assert form.status_code == 415


def test_a_failure_shows_no_trace_to_the_client(folder, monkeypatch):
    found = started(folder, "bm25")

    def fail(*_, **__):
        raise RuntimeError("secret")

    monkeypatch.setattr("zoo.serve.batching.answer", fail)
    answered = found.post("/search", json={"query": "bab"})
    found.__exit__(None, None, None)
    assert answered.status_code == 500 and answered.json()["error"]["code"] == "internal"
    assert "secret" not in answered.text and "Traceback" not in answered.text


def test_a_full_queue_and_a_slow_answer_are_refused(folder, monkeypatch):
    found = started(folder, "bm25", queue=2, seconds=0.3)
    answer = server.batching.answer
    monkeypatch.setattr("zoo.serve.batching.answer", lambda asked: time.sleep(1) or answer(asked))
    assert found.post("/batch", json={"queries": ["bab"] * 3}).status_code == 429
    slow = found.post("/search", json={"query": "bab"})
    assert slow.status_code == 504 and "within 0.3 s" in slow.json()["error"]["reason"]
    found.__exit__(None, None, None)


def test_no_request_compiles_after_the_warm_up(folder):
    found = started(folder, "dsi", k=10, batch=64)
    known = [f"{name}" for name in zoo.load(folder / "dsi").documents.ids[:5]]
    for body in (
        {"queries": ["bab"] * 1},
        {"queries": ["bab cec"] * 7, "k": 3},
        {"queries": ["bab dad"] * 33, "excluded": known[:3]},
        {"queries": ["bab"] * 3, "allowed": known},
        {"queries": ["bab"], "allowed": known, "excluded": known[:1], "beam": 4},
    ):
        assert found.post("/batch", json=body).status_code == 200
    text = found.get("/metrics").text
    found.__exit__(None, None, None)
    assert "zoo_compilations_after_warm_up 0\n" in text
    assert "zoo_queries_total 45\n" in text and "zoo_invalid_share 0.000000\n" in text
    assert 'zoo_requests_total{path="/batch",status="200"} 5\n' in text


def test_the_description_names_every_route(client):
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/search", "/recommend", "/batch", "/health", "/metrics", "/reload"} <= set(paths)


def connected(port):
    return contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60))


class Load:
    """Clients that ask over kept connections until they are stopped."""

    def __init__(self, port, clients):
        self.running, self.answers = True, []
        self.pool = concurrent.futures.ThreadPoolExecutor(clients)
        self.done = [self.pool.submit(self._ask, port) for _ in range(clients)]

    def _ask(self, port):
        found, body = [], json.dumps({"query": "bab", "k": 2})
        with connected(port) as connection:
            while self.running:
                connection.request("POST", "/search", body, JSON)
                response = connection.getresponse()
                found.append((response.status, json.loads(response.read()).get("version")))
        return found

    def stop(self):
        self.running = False
        return [each for done in self.done for each in done.result()]


@pytest.fixture
def process(folder, tmp_path):
    """`zoo serve` in a process of its own."""
    shutil.copytree(folder / "bm25", tmp_path / "bm25")
    shutil.copytree(folder / "more", tmp_path / "more")
    root = pathlib.Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-m", "zoo", "serve", str(tmp_path / "bm25"), "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(root)},
    )
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_versions_change_and_a_signal_drains_without_a_lost_request(process):
    port = int([line for line in (process.stdout.readline() for _ in range(2))][1].split()[2][17:])
    _wait(port)
    load = Load(port, 4)
    time.sleep(0.3)
    change = lambda path, **body: _post(port, path, {"system": "bm25", **body})
    second = change("/reload", folder="more")
    assert second["documents"] == 41
    time.sleep(0.2)
    first = change("/rollback")
    assert first["documents"] == 40
    time.sleep(0.2)
    answers = load.stop()
    assert {status for status, _ in answers} == {200}
    assert {version for _, version in answers} == {first["version"], second["version"]}
    assert "no version" in change("/rollback")["error"]["reason"]

    with connected(port) as connection:
        connection.request("POST", "/batch", json.dumps({"queries": ["bab"] * 200}), JSON)
        time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert connection.getresponse().status == 200
    assert process.wait(30) == 0


def _wait(port):
    until = time.monotonic() + 60
    while True:
        with connected(port) as connection:
            connection.request("GET", "/health", headers=JSON)
            if connection.getresponse().status == 200:
                return
        assert time.monotonic() < until, "never ready"
        time.sleep(0.05)


def _post(port, path, body):
    with connected(port) as connection:
        connection.request("POST", path, json.dumps(body), JSON)
        return json.loads(connection.getresponse().read())
