"""The page in a real browser, when there is one: what arrived is shown, and nothing in it runs."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from .conftest import SENDGRID_HEADERS, mail

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ATTACK = "<script>document.title='HACKED'</script><img src=x onerror=\"document.title='HACKED'\"><b>bold</b>"


@pytest.fixture
def page(sandbox, tmp_path):
    """Gives the page's elements after its script has run."""

    def dump(path="/"):
        ended = subprocess.run(  # noqa: S603 - the installed browser
            [
                BROWSER,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                f"--user-data-dir={tmp_path}",
                "--virtual-time-budget=3000",
                "--dump-dom",
                sandbox.url + path,
            ],
            capture_output=True,
            text=True,
            timeout=40,
            check=True,
        )
        return ended.stdout

    return dump


@pytest.mark.skipif(BROWSER is None, reason="no browser is installed")
def test_a_message_is_shown_and_its_content_stays_text(sandbox, page):
    content = [{"type": "text/plain", "value": ATTACK}, {"type": "text/html", "value": ATTACK}]
    body = mail("ann@example.com", subject=ATTACK, content=content)
    sandbox.post("/v3/mail/send", json=body, headers=SENDGRID_HEADERS)
    sandbox.post("/callbacks/page", data=ATTACK.encode())
    message_id = sandbox.messages()[0]["id"]

    shown = page(f"/#m{message_id}")

    assert "<title>Provider sandbox</title>" in shown
    assert '<span class="who">ann@example.com</span>' in shown
    assert "<h2>&lt;script&gt;" in shown
    assert f'<iframe class="mail" sandbox="" src="/messages/{message_id}/html"' in shown
    assert "<b>bold</b>" not in shown


@pytest.mark.skipif(BROWSER is None, reason="no browser is installed")
def test_a_newcomer_sees_what_to_do(page):
    shown = page("/#magic")

    assert "What is sent, arrives here" in shown
    assert "Nothing has arrived yet." in shown or 'class="row"' in shown
    assert "+15005550100" in shown
