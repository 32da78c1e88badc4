"""What the supervisor refuses before it starts anything."""

import os
import socket


def test_a_taken_port_is_named_with_part_and_process(supervise, free_ports):
    free, _ = free_ports(2)
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]

        running = supervise([["one", free, 1, []], ["two", taken, 1, []]])

        assert running.process.wait(15) == 2
    assert f"port {taken} (HTTP of the fake two) is taken by pid {os.getpid()} (" in running.output()
    assert str(free) not in running.output()
    assert not (running.data / "logs").exists()


def test_a_second_supervisor_on_the_same_folder_is_refused(supervise, free_ports):
    first, second = free_ports(2)
    running = supervise([["one", first, 1, []]])
    running.wait_for_output("all healthy")

    refused = supervise([["one", second, 1, []]])

    assert refused.process.wait(15) == 2
    assert f"in use by another supervisor (pid {running.process.pid})" in refused.output()
    assert running.process.poll() is None


def test_a_folder_is_free_again_after_its_supervisor_was_killed(supervise, free_ports):
    (port,) = free_ports(1)
    killed = supervise([["one", port, 1, []]])
    killed.wait_for_output("all healthy")
    killed.process.kill()
    killed.process.wait()

    again = supervise([["one", port, 1, []]], "--exit-when-up", "0")

    assert again.process.wait(15) == 0, again.output()
