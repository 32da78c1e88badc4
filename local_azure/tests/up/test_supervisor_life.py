"""Starting, dying, restarting and stopping of parts, seen from outside the supervisor's process."""

import json
import os
import signal


def test_starts_stage_by_stage_and_writes_run_json(supervise, free_ports, is_alive):
    first, second = free_ports(2)

    running = supervise([["one", first, 1, []], ["two", second, 2, []]])
    running.wait_for_output("all healthy")

    state = json.loads((running.data / "run.json").read_text())
    assert state["supervisor_pid"] == running.process.pid
    assert state["parts"]["one"]["started_at"] < state["parts"]["two"]["started_at"]
    assert state["parts"]["two"] | {"pid": 0, "started_at": ""} == {
        "pid": 0,
        "url": f"http://127.0.0.1:{second}",
        "ports": {"HTTP": second},
        "started_at": "",
        "restarts": 0,
        "healthy": True,
        "log": str(running.data / "logs" / "two.log"),
    }
    assert is_alive(state["parts"]["one"]["pid"])


def test_interrupt_stops_parts_in_reverse_order_and_exits_0(supervise, free_ports, is_alive):
    first, second = free_ports(2)
    running = supervise([["one", first, 1, []], ["two", second, 2, []]])
    running.wait_for_output("all healthy")
    pids = [running.part(name)["pid"] for name in ("one", "two")]

    status = running.stop()

    assert status == 0
    assert not any(is_alive(pid) for pid in pids)
    stopped_at = [int((running.data / "logs" / f"{name}.log").read_text().split()[-1]) for name in ("one", "two")]
    assert stopped_at[1] < stopped_at[0]
    assert not (running.data / "run.json").exists()
    assert "all parts stopped; restarts: none" in running.output()


def test_sigterm_while_starting_exits_0(supervise, free_ports, wait_for):
    one, never = free_ports(2)
    running = supervise([["one", one, 1, []], ["never", never, 2, ["--say", "WARNING: slow"]]])
    wait_for((running.data / "run.json").exists)

    running.process.terminate()

    assert running.process.wait(20) == 0


def test_a_part_that_dies_is_reported_restarted_and_counted(supervise, free_ports):
    (port,) = free_ports(1)
    running = supervise([["one", port, 1, []]])
    running.wait_for_output("all healthy")
    pid = running.part("one")["pid"]

    os.kill(pid, signal.SIGKILL)

    running.wait_for_output("!!! fake one (one) was ended by SIGKILL")
    running.wait_for_output("one is healthy again")
    assert running.part("one")["pid"] != pid
    assert running.part("one")["restarts"] == 1
    assert running.stop() == 0
    assert "restarts: one 1" in running.output()


def test_a_part_that_dies_at_every_start_stops_everything_with_status_1(supervise, free_ports, wait_for, is_alive):
    good, bad = free_ports(2)
    running = supervise([["good", good, 1, []], ["bad", bad, 1, ["--exit", "7", "--say", "ERROR: no such file"]]])
    wait_for((running.data / "run.json").exists)
    good_pid = wait_for(lambda: running.part("good")["pid"])

    status = running.process.wait(40)

    assert status == 1
    assert running.output().count("(bad) exited with status 7") == 5
    assert "giving up" in running.output()
    assert "[bad] ERROR: no such file" in running.output()
    assert not is_alive(good_pid)


def test_children_and_grandchildren_of_a_restarted_part_are_gone(supervise, free_ports, wait_for, is_alive):
    (port,) = free_ports(1)
    running = supervise([["one", port, 1, ["--spawn"]]])
    running.wait_for_output("all healthy")
    grandchild = int((running.data / "logs" / "one.log").read_text().split()[1])
    assert is_alive(grandchild)

    os.kill(running.part("one")["pid"], signal.SIGKILL)

    running.wait_for_output("one is healthy again")
    wait_for(lambda: not is_alive(grandchild))


def test_parts_die_when_the_supervisor_is_killed(supervise, free_ports, wait_for, is_alive):
    ports = free_ports(2)
    running = supervise([["one", ports[0], 1, []], ["two", ports[1], 1, ["--ignore-sigterm"]]])
    running.wait_for_output("all healthy")
    pids = [running.part(name)["pid"] for name in ("one", "two")]

    running.process.kill()

    wait_for(lambda: not any(is_alive(pid) for pid in pids))


def test_a_second_interrupt_does_not_wait_for_a_stubborn_part(supervise, free_ports, wait_for, is_alive):
    (port,) = free_ports(1)
    running = supervise([["stubborn", port, 1, ["--ignore-sigterm"]]])
    running.wait_for_output("all healthy")
    pid = running.part("stubborn")["pid"]

    running.process.send_signal(signal.SIGINT)
    wait_for(lambda: "stopping" in running.output())
    running.process.send_signal(signal.SIGINT)

    assert running.process.wait(5) == 0
    assert not is_alive(pid)


def test_the_status_of_what_runs_once_up_becomes_the_exit_status(supervise, free_ports):
    (port,) = free_ports(1)

    running = supervise([["one", port, 1, []]], "--exit-when-up", "3")

    assert running.process.wait(20) == 3
