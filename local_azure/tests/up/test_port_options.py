"""Ports from the command line."""

import argparse

import pytest

from local_azure.up.ports import Ports, add_port_options, ports_from


def _parse(*arguments: str) -> Ports:
    parser = argparse.ArgumentParser()
    add_port_options(parser)
    return ports_from(parser.parse_args(arguments))


def test_an_offset_moves_every_default_but_no_port_given_by_name():
    ports = _parse("--port-offset", "1000", "--cosmos-port", "9999")

    assert ports == Ports(
        api=8071,
        host_admin=8072,
        entra=8073,
        servicebus=6672,
        servicebus_admin=6300,
        cosmos=9999,
        sandbox=8080,
        smtp=8025,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--port-offset", "60000"], "outside"), (["--api-port", "0"], "outside"), (["--api-port", "7072"], "same port")],
)
def test_impossible_ports_are_an_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        _parse(*arguments)
