"""How many worker processes the supervisor tells the Functions host to start."""

from local_azure.up.parts import HostScale


def test_the_command_line_wins_over_azures_setting_and_one_is_the_default():
    setting = {"FUNCTIONS_WORKER_PROCESS_COUNT": "3"}

    assert HostScale().arguments({}) == ("--workers", "1")
    assert HostScale().arguments(setting) == ("--workers", "3")
    assert HostScale(workers=2, instances=("http=2", "a=1")).arguments(setting) == (
        *("--workers", "2"),
        *("--instances=http=2", "--instances=a=1"),
    )
