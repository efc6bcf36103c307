"""Opens the meter on a server's machine: an agent of ours, or an exporter by the path of its page.

http://HOST:PORT            `bench meter serve`
http://HOST:PORT/metrics    an exporter for Prometheus
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from harness.common.errors import MeasurementError
from harness.measurement.energy.external.agent import token_from
from harness.measurement.energy.external.exporter import ExporterMeter, machine_of, read_page
from harness.measurement.energy.external.remote import DistantMeter, RemoteError, RemoteMeter, http_fetch

_REMEDY = "Start it there: `bench meter serve`; --system-meter names its address, or a tunnel to it."


def is_exporter(url: str) -> bool:
    """Return whether an URL is that of an exporter's page."""
    return urlsplit(url).path not in ("", "/")


def open_distant(url: str, environ: Mapping[str, str], where: str) -> DistantMeter:
    """Open a meter; MeasurementError, which names `where`, if it cannot be read. Exporters get no token."""
    try:
        if is_exporter(url):
            return ExporterMeter(read_page(url), machine_of(url))
        return RemoteMeter(http_fetch(url, token_from(environ)))
    except RemoteError as problem:
        raise MeasurementError(
            f"the meter on the server's machine cannot be read: {problem}.", where=where, remedy=_REMEDY
        ) from None
