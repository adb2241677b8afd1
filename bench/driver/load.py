"""Load, by wrk."""

import json
import os
import subprocess
from pathlib import Path

from proxies import LOAD_CORE

SCRIPT = Path(__file__).parent.parent / "load.lua"


def load(port, seconds, connections, tls=False, credential=None, tokens=None, close=False, pause_ms=None):
    """Posts for so long, and returns what wrk says of it."""
    settings = {
        "BENCH_CREDENTIAL": credential,
        "BENCH_TOKENS": tokens,
        "BENCH_CLOSE": "1" if close else None,
        "BENCH_PAUSE": pause_ms,
    }
    environment = os.environ | {name: str(value) for name, value in settings.items() if value is not None}
    url = f"{'https' if tls else 'http'}://127.0.0.1:{port}/score"
    line = ["taskset", "-c", str(LOAD_CORE), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", SCRIPT, url]
    said = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=seconds + 30)
    results = [line.removeprefix("RESULT ") for line in said.stdout.splitlines() if line.startswith("RESULT ")]
    if not results:
        raise ConnectionError(f"wrk failed: {said.stdout} {said.stderr}")
    return json.loads(results[0])
