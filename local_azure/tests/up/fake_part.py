"""A part small enough to see through: answers /health, and misbehaves as told.

python fake_part.py PORT [--exit STATUS] [--die-after SECONDS] [--ignore-sigterm] [--spawn] [--say TEXT]
"""

import argparse
import http.server
import os
import signal
import subprocess
import sys
import threading
import time


class _Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--exit", type=int)
    parser.add_argument("--die-after", type=float)
    parser.add_argument("--ignore-sigterm", action="store_true")
    parser.add_argument("--spawn", action="store_true")
    parser.add_argument("--say")
    options = parser.parse_args()
    if options.say:
        print(options.say, file=sys.stderr, flush=True)
    if options.exit is not None:
        sys.exit(options.exit)
    if options.die_after is not None:
        threading.Thread(target=_die, args=[options.die_after], daemon=True).start()
    signal.signal(signal.SIGTERM, signal.SIG_IGN if options.ignore_sigterm else _leave)
    if options.spawn:
        grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        print(f"spawned {grandchild.pid}", flush=True)
    http.server.HTTPServer(("127.0.0.1", options.port), _Health).serve_forever()


def _leave(*_: object) -> None:
    print("stopped at", time.monotonic_ns(), flush=True)
    os._exit(0)


def _die(seconds: float) -> None:
    time.sleep(seconds)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
