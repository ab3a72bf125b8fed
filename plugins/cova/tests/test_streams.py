"""Streams over the network: they are read, end, stall, change their resolution. The servers run in the test."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from framework_cova.capture.sources import VideoCapture

from framework.errors import InputError

pytest.importorskip("av")
TS_PACKET = 188  # bytes, ISO/IEC 13818-1


@contextmanager
def served(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """Yield the port of a server that gives one connection to `answer`."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        def serve() -> None:
            try:
                connection, _ = listening.accept()
                with connection:
                    answer(connection)
            except OSError:  # the reader has gone
                pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        listening.close()
        thread.join(timeout=10)


def over_http(content: bytes, then: Callable[[socket.socket], None] = lambda connection: None) -> Any:
    """Return an answer that sends content as a live stream of unknown length."""

    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\nConnection: close\r\n\r\n")
        connection.sendall(content)
        then(connection)

    return answer


def until_the_reader_leaves(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def over_rtsp(content: bytes) -> Callable[[socket.socket], None]:
    """Return an answer that plays a transport stream by RTSP (RFC 2326), RTP in the same connection (RFC 2250)."""
    sdp = (
        b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\nm=video 0 RTP/AVP 33\r\na=control:track\r\n"
    )
    lines = {
        b"OPTIONS": (b"Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n", b""),
        b"DESCRIBE": (b"Content-Type: application/sdp\r\n", sdp),
        b"SETUP": (b"Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n", b""),
        b"PLAY": (b"Session: 1\r\n", b""),
    }

    def answer(connection: socket.socket) -> None:
        waiting = b""
        while True:
            while b"\r\n\r\n" not in waiting:
                if not (more := connection.recv(65536)):
                    return
                waiting += more
            request, _, waiting = waiting.partition(b"\r\n\r\n")
            number = request.partition(b"CSeq:")[2].split()[0]
            method = request.split()[0]
            head, body = lines.get(method, (b"", b""))
            length = b"Content-Length: %d\r\n" % len(body)
            connection.sendall(
                b"RTSP/1.0 200 OK\r\nCSeq: " + number + b"\r\n" + head + length + b"\r\n" + body
            )
            if method == b"PLAY":
                break
        step = 7 * TS_PACKET
        for sequence, begin in enumerate(range(0, len(content), step)):
            part = content[begin : begin + step]
            rtp = struct.pack(">BBHII", 0x80, 33, sequence & 0xFFFF, sequence * 3000, 1) + part
            connection.sendall(struct.pack(">cBH", b"$", 0, len(rtp)) + rtp)

    return answer


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory, video: Callable[..., None]) -> bytes:
    file = tmp_path_factory.mktemp("video") / "street.ts"
    video(file, 180, codec="mpeg2video")
    return file.read_bytes()


@pytest.mark.parametrize(
    ("scheme", "how", "name"), [("http", over_http, "live.ts"), ("rtsp", over_rtsp, "live")]
)
def test_the_same_frames_come_over_the_network_as_from_the_file(
    tmp_path: Path, stream: bytes, scheme: str, how: Callable[[bytes], Any], name: str
) -> None:
    (tmp_path / "street.ts").write_bytes(stream)
    expected = [frame.image for frame in VideoCapture(str(tmp_path / "street.ts")).frames()]
    with served(how(stream)) as port:
        url = f"{scheme}://127.0.0.1:{port}/{name}"
        found = [frame.image for frame in VideoCapture(url, stall_s=10, max_frames=170).frames()]
    assert len(found) == 170
    assert all((one == other).all() for one, other in zip(found, expected, strict=False))
    assert np.std(found[100]) > 5


def test_a_student_is_specialised_to_a_stream(
    door: Any, stream: bytes, detector_file: Callable[..., str]
) -> None:
    pytest.importorskip("torch")
    weights = detector_file(door.folder / "teacher.onnx", [[50, 60, 90, 80]], [1])
    teacher = ("backend/annotate=onnx", f"backend.annotate.weights={weights}")
    with served(over_http(stream)) as port:
        path = f"workload.capture.path=http://127.0.0.1:{port}/live.ts"
        # this teacher's one box has nothing to do with what is in the frame: what the student knew contradicts it
        door.run(path, "backend.rehearsal=0", *teacher, workload="camera_video")
    found = door.rows("SELECT value, source FROM metrics WHERE name = 'detection_map'")
    assert found[0]["source"] == "teacher"
    assert found[0]["value"] > 0.9
    assert '"frames_labelled"' in door.checks()


# what is sent must come within the time after which a stream has stalled, on a busy machine too
@pytest.mark.parametrize(("sent", "stall_s"), [(0, 1), (0.5, 5)])
def test_a_stream_that_stalls_at_once_or_midway_is_one_line_within_its_time(
    door: Any, stream: bytes, sent: float, stall_s: int
) -> None:
    content = stream[: int(len(stream) * sent)]
    with served(over_http(content, until_the_reader_leaves)) as port:
        path = f"workload.capture.path=http://127.0.0.1:{port}/live.ts"
        words = (path, f"workload.capture.stall_s={stall_s}", "backend.arm=generic")
        text = door.run(*words, workload="camera_video", ok=False)
    assert "workload.capture" in text
    assert "the source ended after" in text if sent else "can't be opened" in text
    assert f"sent nothing for {stall_s} s" in text or not sent


def test_a_stream_that_ends_early_is_scored_as_far_as_it_goes_and_a_change_of_resolution_is_counted(
    door: Any, tmp_path: Path, stream: bytes, video: Callable[..., None], detector_file: Callable[..., str]
) -> None:
    video(tmp_path / "large.ts", 20, 320, 192, codec="mpeg2video")
    weights = detector_file(door.folder / "teacher.onnx", [[50, 60, 90, 80]], [1])
    teacher = ("backend/annotate=onnx", f"backend.annotate.weights={weights}")
    with served(over_http(stream[: len(stream) * 2 // 3] + (tmp_path / "large.ts").read_bytes())) as port:
        path = f"workload.capture.path=http://127.0.0.1:{port}/live.ts"
        early = ("backend.adapt_frames=60", "backend.scored_frames=100")
        door.run(path, *teacher, *early, "backend.arm=generic", workload="camera_video")
    checks = door.checks()
    assert "since the source broke off after" in checks
    assert "resolution differs from the first frame's" in checks
    assert "the source ended early" in checks


def test_an_address_where_nobody_answers_is_one_line() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(InputError, match=r"workload\.capture\.path: rtsp://.* can't be opened as video"):
        list(VideoCapture(f"rtsp://127.0.0.1:{port}/live", stall_s=1).frames())
