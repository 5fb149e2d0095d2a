# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on's session against a real server: what the user's Blender hears, and when."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from blender_addon.connection.connection_check import check_connection
from blender_addon.connection.session import Event, Session, SessionState, StateChanged
from shared import limits
from shared.connection import ClientKeys
from shared.errors import ErrorKind, VividKeysError
from shared.limits import SILENCE_SECONDS
from shared.messages import Accepted, Chunk, Done, Failed, Forgotten, Progress, Welcome
from tests.backend.server.real_server import RunningServer, stranger_keys
from tests.patience import PATIENCE, Clock, closed_port


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    running = RunningServer(tmp_path_factory.mktemp("backend"))
    assert running.ready.wait(PATIENCE)
    yield running
    running.stop()


@pytest.fixture
def session() -> Iterator[Session]:
    made = Session("a test")
    yield made
    made.close()


@pytest.fixture
def connected(server: RunningServer, session: Session) -> Session:
    session.connect(server.address, server.client_keys("anna"))
    session.wait_until_connected(PATIENCE)
    return session


def pump_until(session: Session, wanted: Callable[[Event], bool]) -> list[Event]:
    """Everything heard up to the first event that is wanted."""
    heard: list[Event] = []
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        events = session.pump(0.0)  # one at a time: what comes after it is for the next call
        heard += events
        if any(map(wanted, events)):
            return heard
        if not events:
            time.sleep(0.005)
    raise AssertionError(f"heard only {heard}")


def until_state(session: Session, state: SessionState) -> list[Event]:
    return pump_until(
        session, lambda event: isinstance(event, StateChanged) and event.state is state
    )


def ends(job: str) -> Callable[[Event], bool]:
    return lambda event: (
        (isinstance(event, Done) and event.job == job)
        or (isinstance(event, Failed) and event.job == job and event.about == "job")
    )


def failure_of(session: Session, job: str) -> Failed:
    end = pump_until(session, ends(job))[-1]
    assert isinstance(end, Failed), end
    return end


def test_connecting_ends_in_a_welcome(server: RunningServer, session: Session) -> None:
    session.connect(server.address, server.client_keys("anna"))
    assert session.state is SessionState.CONNECTING
    heard = pump_until(session, lambda event: isinstance(event, Welcome))
    states = [event.state for event in heard if isinstance(event, StateChanged)]
    assert states == [SessionState.CONNECTING, SessionState.CONNECTED]
    assert session.state is SessionState.CONNECTED
    assert session.welcome is not None and session.welcome.name == "anna"
    assert server.address in session.sentence


def test_a_job_with_a_file_is_hashed_sent_and_done(connected: Session, tmp_path: Path) -> None:
    voice = tmp_path / "voice.wav"
    voice.write_bytes(np.random.default_rng(5).bytes(20_000_000))
    job = connected.submit("measure", {}, uploads={"file": voice}, label="a shot")
    assert connected.active_jobs == {job}
    heard = pump_until(connected, ends(job))
    done = heard[-1]
    assert isinstance(done, Done) and done.info == {"size": 20_000_000}
    sending = [event for event in heard if isinstance(event, Progress) and event.stage == "upload"]
    assert sending and "voice.wav" in sending[0].sentence
    fractions = [event.fraction for event in sending]
    assert fractions == sorted(fractions)
    assert connected.active_jobs == frozenset()


def test_bytes_and_the_same_file_twice_can_be_sent(connected: Session, tmp_path: Path) -> None:
    same = tmp_path / "same.wav"
    same.write_bytes(b"\x05" * 3_000_000)
    jobs = [
        connected.submit("measure", {}, uploads={"file": source})
        for source in (same, same, b"\x05" * 3_000_000, b"")
    ]
    sizes: dict[str, int] = {}
    while len(sizes) < len(jobs):
        done = pump_until(connected, lambda event: isinstance(event, Done))[-1]
        assert isinstance(done, Done)
        sizes[done.job] = done.info["size"]
    assert [sizes[job] for job in jobs] == [3_000_000, 3_000_000, 3_000_000, 0]


def test_chunks_come_in_order_before_the_result(connected: Session) -> None:
    job = connected.submit("double", {"chunks": 5}, {"curve": np.ones((3, 2), np.float32)})
    heard = pump_until(connected, ends(job))
    kinds = [type(event) for event in heard if not isinstance(event, Progress)]
    assert kinds == [Accepted, *[Chunk] * 5, Done]
    assert [event.index for event in heard if isinstance(event, Chunk)] == list(range(5))


def test_wait_returns_the_result_or_raises_the_error(connected: Session) -> None:
    seen: list[Event] = []
    job = connected.submit("double", {"chunks": 1})
    assert connected.wait(job, timeout=PATIENCE, on_event=seen.append).job == job
    assert any(isinstance(event, Chunk) for event in seen)
    with pytest.raises(VividKeysError) as caught:
        connected.wait(connected.submit("break", {"how": "refuse"}), timeout=PATIENCE)
    assert caught.value.kind is ErrorKind.BAD_AUDIO
    assert caught.value.next_step == "Choose another."


def test_cancel_while_it_runs(connected: Session) -> None:
    job = connected.submit("wait", {})
    pump_until(connected, lambda event: isinstance(event, Progress))
    connected.cancel(job)
    assert failure_of(connected, job).kind is ErrorKind.CANCELLED


def test_cancel_while_the_file_is_being_sent(
    server: RunningServer, session: Session, tmp_path: Path
) -> None:
    film = tmp_path / "film.mov"
    with film.open("wb") as stream:
        stream.truncate(600_000_000)
    with Relay(server.address) as relay:
        session.connect(relay.address, server.client_keys("anna"))
        session.wait_until_connected(PATIENCE)
        relay.is_holding = True  # so that it cannot have been sent
        job = session.submit("measure", {}, uploads={"file": film})
        session.cancel(job)
        assert failure_of(session, job).kind is ErrorKind.CANCELLED
        relay.is_holding = False
        session.wait(session.submit("double", {}), timeout=PATIENCE)


@pytest.mark.parametrize("name", ["absent.wav", "."])
def test_a_file_that_cannot_be_read_is_a_failed_job(
    connected: Session, tmp_path: Path, name: str
) -> None:
    failed = failure_of(
        connected, connected.submit("measure", {}, uploads={"file": tmp_path / name})
    )
    assert failed.kind is ErrorKind.BAD_FILE and failed.next_step


def test_a_file_beyond_the_limit_is_refused_before_it_is_read(
    connected: Session, tmp_path: Path
) -> None:
    huge = tmp_path / "huge.mov"
    with huge.open("wb") as stream:
        stream.truncate((2 << 30) + 1)
    failed = failure_of(connected, connected.submit("measure", {}, uploads={"file": huge}))
    assert failed.kind is ErrorKind.TOO_LARGE


def test_arrays_with_nan_are_refused_before_they_are_sent(connected: Session) -> None:
    job = connected.submit("double", {}, {"curve": np.array([np.nan], np.float32)})
    assert failure_of(connected, job).kind is ErrorKind.BAD_ARRAY


def test_forget_is_confirmed(connected: Session) -> None:
    job = connected.submit("double", {})
    connected.wait(job, timeout=PATIENCE)
    connected.forget(job)
    pump_until(connected, lambda event: event == Forgotten(job))
    connected.attach(job)
    assert failure_of(connected, job).kind is ErrorKind.UNKNOWN_JOB


def test_a_new_session_finds_the_job_of_one_that_quit(
    server: RunningServer, connected: Session, tmp_path: Path
) -> None:
    released = tmp_path / "released"
    job = connected.submit("wait", {"until": str(released), "name": "kept"})
    pump_until(connected, lambda event: isinstance(event, Accepted))
    connected.close()
    later = Session("another test")
    try:
        later.connect(server.address, server.client_keys("anna"))
        welcome = later.wait_until_connected(PATIENCE)
        released.touch()
        assert job in [known["job"] for known in welcome.jobs]
        later.attach(job)
        assert later.wait(job, timeout=PATIENCE).info == {"name": "kept"}
    finally:
        later.close()


def test_an_unknown_key_is_named_as_the_reason(server: RunningServer, session: Session) -> None:
    session.connect(server.address, stranger_keys(server))
    until_state(session, SessionState.LOST)
    assert session.sentence == "The backend does not know this key."
    assert session.error is not None and session.error.kind is ErrorKind.NOT_AUTHORISED
    with pytest.raises(VividKeysError) as caught:
        session.wait_until_connected(1)
    assert caught.value.kind is ErrorKind.NOT_AUTHORISED and caught.value.next_step


def test_a_server_with_another_key_is_named_as_the_reason(
    server: RunningServer, session: Session
) -> None:
    keys = server.client_keys("anna")
    other = ClientKeys(keys.client_public, keys.client_public, keys.client_secret)
    session.connect(server.address, other)
    until_state(session, SessionState.LOST)
    assert "not the backend that this key file is for" in session.sentence


def test_a_port_where_nothing_listens_is_named(session: Session, server: RunningServer) -> None:
    with closed_port() as port:
        session.connect(f"127.0.0.1:{port}", server.client_keys("anna"))
        until_state(session, SessionState.LOST)
    assert session.sentence.startswith("No backend answers at tcp://127.0.0.1:")
    with pytest.raises(VividKeysError):
        session.wait_until_connected(1)


def test_a_connection_that_was_replaced_says_nothing_any_more(
    server: RunningServer, session: Session
) -> None:
    keys = server.client_keys("anna")
    with closed_port() as port:
        for _ in range(5):
            session.connect(f"127.0.0.1:{port}", keys)
            session.connect(server.address, keys)
            session.disconnect()
            session.connect(server.address, keys)
            assert session.wait_until_connected(PATIENCE).name == "anna"
            assert session.state is SessionState.CONNECTED


def test_a_wrong_address_is_refused_at_once(session: Session, server: RunningServer) -> None:
    with pytest.raises(VividKeysError) as caught:
        session.connect("gpu box", server.client_keys("anna"))
    assert caught.value.kind is ErrorKind.BAD_REQUEST
    with pytest.raises(VividKeysError):
        session.submit("double", {})


def test_a_backend_that_goes_away_is_noticed_and_its_jobs_fail(
    tmp_path: Path, session: Session
) -> None:
    server = RunningServer(tmp_path)
    assert server.ready.wait(PATIENCE)
    session.connect(server.address, server.client_keys("anna"), patience=0.0)
    session.wait_until_connected(PATIENCE)
    job = session.submit("wait", {})
    pump_until(session, lambda event: isinstance(event, Progress))
    server.stop()
    # The server says why before it goes, or the connection breaks first; both are clear.
    assert failure_of(session, job).kind is ErrorKind.BACKEND_LOST
    if session.state is not SessionState.LOST:
        until_state(session, SessionState.LOST)
    assert session.active_jobs == frozenset()


def test_a_backend_that_falls_silent_is_called_lost_within_five_seconds(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clock = Clock()
    session = Session("a test", clock)
    released = tmp_path / "released"
    with Relay(server.address) as relay:
        session.connect(relay.address, server.client_keys("anna"), patience=0.0)
        session.wait_until_connected(PATIENCE)
        job = session.submit("wait", {"until": str(released)})
        pump_until(session, lambda event: isinstance(event, Progress))
        relay.is_holding = True
        clock.until_seen()  # what was under way has come
        session.pump(1.0)
        monkeypatch.setattr(limits, "SILENCE_SECONDS", SILENCE_SECONDS)
        # Steps that are shorter than those after which the session takes itself for held up.
        for _ in range(4):
            clock.advance(SILENCE_SECONDS / 4)
            clock.until_seen()
        session.pump(1.0)
        assert session.state is SessionState.CONNECTED
        clock.advance(5.0 - SILENCE_SECONDS)
        until_state(session, SessionState.LOST)
        assert failure_of(session, job).kind is ErrorKind.BACKEND_LOST
    session.close()
    released.touch()


def test_after_a_break_the_session_is_back_and_so_is_the_job(
    server: RunningServer, session: Session, tmp_path: Path
) -> None:
    released = tmp_path / "released"
    with Relay(server.address) as relay:
        session.connect(relay.address, server.client_keys("anna"))
        session.wait_until_connected(PATIENCE)
        job = session.submit("wait", {"until": str(released), "name": "survivor"})
        pump_until(session, lambda event: isinstance(event, Progress))
        relay.break_connections()
        until_state(session, SessionState.LOST)
        until_state(session, SessionState.CONNECTED)
        released.touch()
        assert session.wait(job, timeout=PATIENCE).info == {"name": "survivor"}


def test_a_job_sent_while_the_backend_is_away_is_done_when_it_is_back(
    server: RunningServer, session: Session, tmp_path: Path
) -> None:
    with Relay(server.address) as relay:
        session.connect(relay.address, server.client_keys("anna"))
        session.wait_until_connected(PATIENCE)
        relay.break_connections()
        until_state(session, SessionState.LOST)
        job = session.submit("measure", {}, uploads={"file": b"\x01" * 5_000_000})
        assert session.wait(job, timeout=PATIENCE).info == {"size": 5_000_000}


def test_check_connection_goes_through_every_step(server: RunningServer) -> None:
    steps = check_connection(server.address, server.client_keys("anna"), timeout=PATIENCE)
    assert [step.name for step in steps if step.ok] == [
        "library",
        "address",
        "computer",
        "keys",
        "version",
    ]
    # This server has the jobs of the tests and cannot animate.
    assert steps[-1].name == "models" and "animate" in steps[-1].sentence


def test_check_connection_names_the_step_that_fails(server: RunningServer) -> None:
    keys = server.client_keys("anna")
    wrong_server = ClientKeys(keys.client_public, keys.client_public, keys.client_secret)
    with closed_port() as port:
        for address, used, name in (
            ("gpu box", keys, "address"),
            (f"127.0.0.1:{port}", keys, "computer"),
            (server.address, stranger_keys(server), "keys"),
            (server.address, wrong_server, "keys"),
        ):
            failed = check_connection(address, used, timeout=PATIENCE)[-1]
            assert (failed.name, failed.ok) == (name, False)
            assert failed.sentence and failed.next_step


class Relay:
    """A stretch of network between a session and the server that can hold or break."""

    def __init__(self, target: str) -> None:
        host, port = target.removeprefix("tcp://").split(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.is_holding = False
        self._open: list[socket.socket] = []

    def __enter__(self) -> Relay:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._listener.close()
        self.break_connections()

    def break_connections(self) -> None:
        for connection in self._open:
            with contextlib.suppress(OSError):  # broken already
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._open.clear()

    def _accept(self) -> None:
        while True:
            try:
                near, _from = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(self._target)
            self._open += [near, far]
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                while self.is_holding:
                    time.sleep(0.05)
                sink.sendall(data)
        except OSError:
            pass  # broken on purpose
