"""A channel is one file and one line, and so is its first provider: shown by adding both to a copy of the sources."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRATCH = Path(__file__).parent / "scratch_channel"


def _add_line(registry: Path, imported: str, after: str, line: str) -> None:
    text = registry.read_text("utf-8")
    head, found, tail = text.partition(after)
    assert found
    last_import = head.rindex("\nfrom shared.")
    registry.write_text(f"{head[:last_import]}\n{imported}{head[last_import:]}{found}\n        {line},{tail}", "utf-8")


def test_a_channel_of_new_shapes_and_its_provider_are_a_file_and_a_line_each(tmp_path: Path) -> None:
    for folder in ("shared", "functions", "tests/fakes"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    channels, providers = tmp_path / "shared" / "channels", tmp_path / "shared" / "providers"
    shutil.copy(SCRATCH / "pigeon_channel.py", channels / "pigeon.py")
    shutil.copy(SCRATCH / "pigeon_provider.py", providers / "pigeonpost.py")
    _add_line(channels / "__init__.py", "from shared.channels.pigeon import PIGEON", "    for channel in (", "PIGEON")
    _add_line(
        providers / "__init__.py",
        "from shared.providers import pigeonpost",
        "PROVIDERS: tuple[ProviderFactory, ...] = (",
        "pigeonpost.from_settings",
    )

    done = subprocess.run(
        [sys.executable, str(SCRATCH / "deliver_one.py")],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
        capture_output=True,
        check=False,
        timeout=60,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["status"] == "sent"
    assert seen["messageId"] == "feather-7"
    assert [address for _, address, _ in seen["flown"]] == [{"country": "BE", "number": 3}] * 2
    literal, templated = (content["words"] for _, _, content in seen["flown"])
    assert literal == ["meet", "me"]
    assert "https://a.example/r" in templated
    assert all(".pigeon.1" in attempt for attempt, _, _ in seen["flown"])
    assert "pigeon" in seen["channels"]
    assert seen["inTheContract"]
    assert seen["functions"] == ["deliver_pigeon_high", "deliver_pigeon_low", "deliver_pigeon_normal"]
