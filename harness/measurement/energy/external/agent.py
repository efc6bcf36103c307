"""The counters of this machine for a client on another one: `bench meter serve`.

GET /v1/meter       what is counted: the meter, and name, scope and properties of each zone
GET /v1/counters    the counters now: microjoules of each zone, or why one cannot be read

The agent keeps no window: a client reads the counters at both edges of its own
(`harness.measurement.energy.external.remote`). Every request needs the token, because frequent readings of
energy can leak secrets of other programs. Encryption is left to a tunnel.
"""

import hashlib
import hmac
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from harness.common.errors import UsageError
from harness.common.json_types import JsonObject
from harness.measurement.energy.counters.meter import CounterMeter
from harness.measurement.energy.meter import MeterChoice, unusable_meters

FORMAT = 1
METER, COUNTERS = "/v1/meter", "/v1/counters"

TOKEN = "BENCH_METER_TOKEN"  # noqa: S105 -- the name of a variable
"""The environment variable with the token, of the agent and of its clients."""

LEAST_TOKEN = 16
"""Shorter tokens could be guessed."""

_TIMEOUT_S = 10.0
"""How long a connection may keep a thread waiting."""

_STATUS = {200: "OK", 401: "Unauthorized", 404: "Not Found"}


def token_from(environ: Mapping[str, str]) -> str:
    """Return the token; UsageError where there is none, or one that could be guessed or breaks a header."""
    token = environ.get(TOKEN, "")
    if len(token) >= LEAST_TOKEN and token.isascii() and token.isprintable() and " " not in token:
        return token
    problem = "is too short or has odd characters" if token else "is not set"
    raise UsageError(
        f"the token of the meter {problem}: expected {LEAST_TOKEN} or more printable characters.",
        where=TOKEN,
        remedy="Set it to one secret on both machines, for instance of `openssl rand -hex 16`.",
    )


def counters_of(choice: MeterChoice) -> CounterMeter:
    """Return the meter, which must count; UsageError with the reasons where none here does."""
    if isinstance(choice.meter, CounterMeter):
        return choice.meter
    reasons = [f"{name}: {reason}" for name, reason, _ in unusable_meters(choice.skipped)]
    if choice.meter:
        reasons.append(f"{choice.meter.name}: it counts nothing that a client could read")
    if not reasons:
        raise UsageError(
            "none is no energy counter.", where="--meter", remedy="Name a meter, or leave it out."
        )
    raise UsageError(
        f"no energy counter of this machine can be read ({'; '.join(reasons)}).",
        where="--meter",
        remedy="`bench doctor` shows what would allow one.",
    )


class MeterAgent(ThreadingHTTPServer):
    """Serves the counters of a meter; `server_port` is where."""

    daemon_threads = True

    def __init__(self, meter: CounterMeter, token: str, host: str, port: int) -> None:
        self.meter, self._expected = meter, f"Bearer {token}".encode()
        super().__init__((host, port), _Handler)

    def admits(self, authorization: str) -> bool:
        """Return whether a header holds the token; the time that this takes tells nothing about it."""
        return hmac.compare_digest(authorization.encode(errors="replace"), self._expected)

    def content(self, path: str) -> JsonObject | None:
        """Return what is under a path; None if there is nothing."""
        if path == METER:
            return meter_facts(self.meter)
        return {"samples": [asdict(sample) for sample in self.meter.sample()]} if path == COUNTERS else None


def meter_facts(meter: CounterMeter) -> JsonObject:
    """Return what a client has to know of a meter, and a number for this machine."""
    rows = zip(meter.zones(), meter.traits(), strict=True)
    return {
        "format": FORMAT,
        "meter": meter.name,
        "machine": hashlib.sha256(platform.node().encode()).hexdigest()[:8],
        "zones": [{"zone": asdict(zone), "traits": asdict(traits)} for zone, traits in rows],
    }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "bench-meter", ""
    timeout = _TIMEOUT_S
    server: MeterAgent

    def do_GET(self) -> None:
        """Answer with JSON; with status 401 to whoever has not the token."""
        if not self.server.admits(self.headers.get("Authorization", "")):
            self._answer(401, {"error": f"the token is missing or wrong: {TOKEN}"})
            return
        content = self.server.content(self.path)
        self._answer(200 if content else 404, content or {"error": "there is nothing here"})

    def log_message(self, *_: object) -> None:
        """Print nothing: a line for each read would fill the terminal."""

    def _answer(self, status: int, content: JsonObject) -> None:
        body = json.dumps(content).encode()
        self.send_response(status, _STATUS[status])
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
