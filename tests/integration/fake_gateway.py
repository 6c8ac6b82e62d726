"""A control socket that answers as it is told, for tests of the verbs that speak to one (docs/control.md)."""

import json
import os
import socket
import threading


class FakeGateway:
    """Listens on `path`; answers each verb with what `answers` has for it: a dict (the fields of the answer), a list of
    such (one a request, the last for ever), or a function of the request and a connection that sends lines itself or
    returns the fields. Requests are kept in `requests`."""

    def __init__(self, path, answers=None):
        self.path = path
        self.answers = {"ping": {"protocol": 1, "version": "0.1.0", "pid": 4711, "pipeline": "gateway"}}
        self.answers.update(answers or {})
        self.requests = []
        self.answered = []
        self.changed = threading.Condition()
        self.connections = []
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def close(self):
        """As when the process ends: the connections are closed and the socket is removed. Every thread has ended before
        the number of its descriptor can be that of another socket, on which it would take and answer what is not meant
        for it."""
        if self.listener.fileno() < 0:
            return
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()
        for connection in self.connections:
            connection.close()
            connection.thread.join()
        if os.path.exists(self.path):
            os.unlink(self.path)

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            connection = Connection(client)
            connection.thread = threading.Thread(target=self.serve, args=(connection,), daemon=True)
            connection.thread.start()
            self.connections.append(connection)

    def serve(self, connection):
        with connection.client:
            for line in connection.lines():
                request = json.loads(line)
                self.note(self.requests, request)
                self.answer(request, connection)
                self.note(self.answered, request)

    def note(self, requests, request):
        with self.changed:
            requests.append(request)
            self.changed.notify_all()

    def answer(self, request, connection):
        answer = self.answers.get(request["verb"])
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if callable(answer):
            answer = answer(request, connection)
            if answer is None:
                return
        if answer is None:
            answer = refusal("not-found", f"there is no verb '{request['verb']}'")
        if isinstance(answer, bytes):
            connection.send_bytes(answer)
        else:
            connection.send({"id": request["id"], "ok": "error" not in answer, **answer})

    def wait_for(self, verb, count=1, deadline_s=30, answered=False):
        """Waits until `count` requests of that verb have come (and are answered); returns them."""
        def found():
            return [each for each in (self.answered if answered else self.requests) if each["verb"] == verb]

        with self.changed:
            if not self.changed.wait_for(lambda: len(found()) >= count, deadline_s):
                raise AssertionError(f"{count} requests '{verb}' never came, only {self.requests}")
            return found()


class Connection:
    def __init__(self, client):
        self.client = client
        self.lock = threading.Lock()

    def lines(self):
        rest = b""
        while True:
            try:
                got = self.client.recv(65536)
            except OSError:
                return
            if not got:
                return
            *lines, rest = (rest + got).split(b"\n")
            yield from lines

    def send(self, message):
        self.send_bytes(json.dumps(message).encode() + b"\n")

    def send_bytes(self, data):
        with self.lock:
            try:
                self.client.sendall(data)
            except OSError:
                pass  # the client has gone

    def close(self):
        """For the far side; the thread that serves it then closes the descriptor."""
        try:
            self.client.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it has


def refusal(status, message):
    return {"error": {"status": status, "message": message}}


INFO = {
    "protocol": 1, "version": "0.1.0", "pid": 4711, "pipeline": "gateway", "phase": "running", "uptime_s": 4000.4,
    "workers": 2,
    "flows": {"total": 3, "running": 2, "paused": 0, "draining": 0, "ended": 0, "failed": 1},
    "memory": {"rss_bytes": 61329408, "reserved_bytes": 309723136, "limit_bytes": 419430400},
}


def flow(name, **more):
    """A row of `ps`."""
    row = {
        "name": name, "template": "line", "class": "normal", "state": "running", "worker": 1, "uptime_s": 12.2,
        "records_in": 81234, "records_out": 312, "in_per_s": 6920.1, "out_per_s": 2.71,
        "queue_percent": 98, "queue": "source -> detect", "memory_bytes": 1867776,
        "memory": {"guest": 786432, "rings": 1048576, "state": 4096, "reserved": 6291456},
        "cpu_percent": 41.2, "cpu_s": 4.1, "dropped": {"oldest": 12}, "dropped_total": 12, "dead_lettered": 3,
        "rejected": 1, "faults": 3, "restarts": 3, "throttled_s": 0.0, "demoted": False, "paused": False,
        "last_error": None,
    }
    row.update(more)
    return row


def stage(name, **more):
    row = {
        "name": name, "component": name, "in_per_s": 6920.1, "out_per_s": 6920.0, "running_percent": 11.0,
        "waiting_input_percent": 2.0, "waiting_worker_percent": 3.0, "waiting_room_percent": 84.0,
        "popped": 81234, "processed": 81230, "emitted": 81230, "dead_lettered": 0, "rejected": 0, "in_progress": 4,
        "calls": 2539, "busy_s": 0.44, "faults": 0, "faults_by_reason": {}, "restarts": 0, "state_losses": 0,
        "memory_bytes": 131072, "memory_peak_bytes": 131072, "memory_max_bytes": 1048576, "last_error": None,
        "counters": {},
    }
    row.update(more)
    return row


def full_flow(name, **more):
    """The answer to `ps` for one flow."""
    fields = dict(
        quantum=32, turn_ns=2000000, failure=None, turns=81234, nested_turns=7, cycles_cut=0, moves=2, demotions=0, trims=0,
        throttling={"cpu": {"now": False, "times": 0, "s": 0.0}, "rate": {"now": True, "times": 9, "s": 1.25}},
        bottleneck={"stage": "detect", "why": "running", "text": "detect runs 97 % of the time; source waits for it"},
        stages=[stage("source"), stage("detect", running_percent=97.0, waiting_room_percent=0.0,
                                       last_error="out of bounds memory access")],
        queues=[{"name": "source -> detect", "queued": 1998, "queued_bytes": 257042, "capacity_bytes": 262144,
                 "percent": 98, "pushed": 81230, "popped": 79232, "dropped": {"oldest": 12}}],
        channels=[{"name": "readings", "direction": "input", "connector": "file", "paused": True, "queued": 8192,
                   "records": 81234}])
    return flow(name, **{**fields, **more})
