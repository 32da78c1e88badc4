"""The process: start, port, signals, settings; and the pages' policies."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
import requests

from .conftest import ROOT, SENDGRID_HEADERS, mail


def run_sandbox(*arguments, **environment):
    return subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-m", "local_azure.provider_sandbox", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_even_with_a_call_under_way(start, how):
    sandbox = start()
    sandbox.put("/callbacks/x/behaviour", {"mode": "hang"})
    with pytest.raises(OSError, match="timed out"):
        _post_and_give_up(sandbox)

    assert sandbox.end(how) == 0


def _post_and_give_up(sandbox):
    requests.post(sandbox.url + "/callbacks/x", data=b"{}", timeout=0.1)


def test_a_taken_port_is_told(sandbox, tmp_path):
    port = sandbox.url.rpartition(":")[2]

    ended = run_sandbox("--port", port, "--data", str(tmp_path))

    assert ended.returncode == 2
    assert f"127.0.0.1:{port}" in ended.stderr


def test_a_port_that_cannot_be_is_told(tmp_path):
    ended = run_sandbox("--port", "70000", "--data", str(tmp_path))

    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr


def test_a_data_folder_that_cannot_be_is_told(tmp_path):
    (tmp_path / "file").write_text("")

    ended = run_sandbox("--port", "0", "--data", str(tmp_path / "file" / "folder"))

    assert ended.returncode == 1
    assert str(tmp_path) in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SENDGRID_RECEIPT_PRIVATE_KEY", "not a key"),
        ("SENDGRID_RECEIPT_PRIVATE_KEY_FILE", "/nowhere/key.pem"),
        ("NOTIFICATION_HUBS_CONNECTION", "Endpoint=sb://x/"),
        ("NOTIFICATION_HUBS_RECEIPT_SECRET", "whsec_***"),
        ("WEBHOOK_SIGNING_SECRET", "whsec_***"),
    ],
)
def test_a_setting_that_cannot_be_used_is_told(tmp_path, name, value):
    ended = run_sandbox("--port", "0", "--data", str(tmp_path), **{name: value})

    assert ended.returncode == 1
    assert ended.stderr.startswith("provider sandbox: ")
    assert "Traceback" not in ended.stderr


def test_the_page_allows_its_own_files_only(sandbox):
    page = sandbox.get("/")

    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http://" not in page.text.replace("http://www.w3.org", "")
    assert "https://" not in page.text
    for name in ("inbox.css", "inbox.js", "cards.js", "icon.svg"):
        file = sandbox.get(f"/page/{name}")
        assert file.status_code == 200
        assert "innerHTML" not in file.text, "content is put in as text"


def test_a_messages_html_is_shown_without_script_or_network(sandbox):
    html = "<script>parent.document.title='hit'</script><img src=https://example.com/x.png><p>Hi</p>"
    body = mail("ann@example.com", content=[{"type": "text/html", "value": html}])
    sandbox.post("/v3/mail/send", json=body, headers=SENDGRID_HEADERS)

    shown = sandbox.get(f"/messages/{sandbox.messages()[0]['id']}/html")

    assert shown.text == html
    policy = shown.headers["Content-Security-Policy"]
    assert policy.endswith("sandbox")
    assert "script-src" not in policy
    assert "default-src 'none'" in policy


def test_messages_can_be_asked_for_by_channel_recipient_and_change(sandbox):
    sandbox.send_email("ann@example.com")
    sandbox.post("/webhooks/bob", json={"x": 1})
    sandbox.send_email("reject@example.com")
    revision = sandbox.get("/messages.json").json()["revision"]

    assert [message["recipient"] for message in sandbox.messages()] == ["bob", "ann@example.com"]
    assert [message["recipient"] for message in sandbox.messages(channel="email")] == ["ann@example.com"]
    assert [message["recipient"] for message in sandbox.messages(recipient="bob")] == ["bob"]
    assert sandbox.messages(refused=1)[0]["recipient"] == "reject@example.com"
    sandbox.post("/webhooks/cid", json={"x": 1})
    assert "cid" in [message["recipient"] for message in sandbox.messages(since=revision)]


def test_an_unknown_address_is_not_found(sandbox):
    assert sandbox.get("/nothing/here/at/all").status_code == 404
