from __future__ import annotations

import socket

import pytest

from framework_vllm.server.port import HeldPort, PortTakenError


def listener(port: int) -> socket.socket:
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as vLLM does
    server.bind(("127.0.0.1", port))
    server.listen()
    return server


def test_a_server_can_listen_on_a_port_that_we_hold() -> None:
    with HeldPort() as port, listener(port.number), socket.create_connection(("127.0.0.1", port.number)):
        pass


def test_a_held_port_is_given_to_nobody_who_asks_for_any() -> None:
    with HeldPort() as first, HeldPort() as second:
        others = [socket.socket() for _ in range(200)]
        for other in others:
            other.bind(("127.0.0.1", 0))
        numbers = {other.getsockname()[1] for other in others}
        for other in others:
            other.close()
        assert first.number != second.number
        assert not {first.number, second.number} & numbers


def test_a_port_on_which_somebody_listens_is_refused_by_its_number() -> None:
    with HeldPort() as port, listener(port.number), pytest.raises(PortTakenError) as refused:
        HeldPort(port=port.number)
    assert str(refused.value).startswith(
        f"backend.port: {port.number} on 127.0.0.1 is taken by another program"
    )


def test_a_released_port_is_free_for_anybody() -> None:
    with HeldPort() as port:
        number = port.number
    plain = socket.socket()
    plain.bind(("127.0.0.1", number))
    plain.close()
