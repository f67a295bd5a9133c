"""The linked program really has the mitigations against memory faults."""

import platform
import re
import subprocess

import pytest

from server import BINARY


def read(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module", params=["", "-thumbnail"])
def program(request):
    return f"{BINARY}{request.param}"


def is_sanitized(program):
    return re.search(r"__[at]san_init", read("readelf", "-Ws", "--dyn-syms", program)) is not None


def test_nothing_of_it_lies_at_a_known_address(program):
    assert re.search(r"Type: +DYN", read("readelf", "-h", program))
    assert re.search(r"\(FLAGS_1\).*\bPIE\b", read("readelf", "-d", program))


def test_relocated_data_is_read_only(program):
    assert re.search(r"\(FLAGS\).*BIND_NOW|\(FLAGS_1\).*\bNOW\b", read("readelf", "-d", program))
    segments = read("readelf", "-Wl", program)
    assert "GNU_RELRO" in segments
    assert re.search(r"GNU_STACK.* RW +0x", segments), "the stack can be executed"
    assert not re.search(r"LOAD.* RWE ", segments)


def test_buffers_on_the_stack_are_guarded(program):
    symbols = read("readelf", "-Ws", "--dyn-syms", program)
    assert "__stack_chk_fail" in symbols
    if program == BINARY and not is_sanitized(program):  # sanitizers have their own checks
        assert re.search(r"__\w+_chk@", symbols), "_FORTIFY_SOURCE"


def test_the_flow_of_control_is_guarded(program):
    if is_sanitized(program) or platform.machine() != "x86_64":
        return
    code = read("objdump", "-d", "--no-show-raw-insn", program)
    main = code[code.index("<main>:"):]
    assert "endbr64" in "\n".join(main.split("\n")[1:3]), "-fcf-protection"
    if program == BINARY:  # the other program has no large frame
        assert re.search(r"(or|mov)q +\$0x0,\(%rsp\)", code), "-fstack-clash-protection"
