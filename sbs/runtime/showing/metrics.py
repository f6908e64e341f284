"""What Prometheus scrapes; ``docs/web.md`` has the table of names, made from :data:`METRICS`.

Needs prometheus-client (extra ``web``).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, TypeAlias

import attrs
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector
from prometheus_client import generate_latest as exposition
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sbs.core.claim import Role
from sbs.runtime.operating.status import Status
from sbs.runtime.showing.answer import Answer
from sbs.runtime.showing.health import Health

Sample: TypeAlias = tuple[tuple[str, ...], float]
"""Values of the labels, and the metric's value."""


@attrs.frozen(kw_only=True)
class Scrape:
    """What metrics are made of.

    Args:
        status: of the node.
        health: of the node.
        requests: answered over HTTP since the node's start, by status code.
        listeners: of the event stream.
        now: seconds since 1970.
    """

    status: Status
    health: Health
    requests: Mapping[int, int]
    listeners: int
    now: float


@attrs.frozen(kw_only=True)
class Family:
    """One metric.

    Args:
        name: as it is exposed; units are seconds and bytes, last in the name.
        help: what it means, one sentence.
        labels: their names.
        counts: it is a counter; else a gauge.
        samples: its values.
    """

    name: str
    help: str
    labels: tuple[str, ...] = ()
    counts: bool = False
    samples: Callable[[Scrape], Iterable[Sample]]


def _one(value: Callable[[Scrape], float]) -> Callable[[Scrape], Iterable[Sample]]:
    """A metric without labels."""
    return lambda scrape: [((), float(value(scrape)))]


def _update(value: Callable[[Status], float]) -> Callable[[Scrape], Iterable[Sample]]:
    """A metric of the last update, which is missing before the first one."""
    return lambda scrape: [((), value(scrape.status))] if scrape.status.last_update else []


def _services(scrape: Scrape, names: Iterable[str]) -> Iterator[Sample]:
    """1 for services in ``names``, 0 for the others that are known."""
    services = scrape.status.services
    chosen = set(names)
    known = {*services.active, *services.wanted, *services.down, *services.restarts}
    for name in sorted(known):
        yield (name,), float(name in chosen)


def _running(scrape: Scrape) -> Iterable[Sample]:
    services = scrape.status.services
    return _services(scrape, set(services.active) - set(services.down))


def _votes(scrape: Scrape) -> Iterator[Sample]:
    for voter, has in (scrape.status.votes or {}).items():
        yield (voter,), float(has)


def _lag(scrape: Scrape) -> Iterator[Sample]:
    if scrape.status.role == Role.PRIMARY.value:
        since = scrape.status.behind_since
        yield (), 0.0 if since is None else max(0.0, scrape.now - since)


def _certificates(scrape: Scrape) -> Iterator[Sample]:
    security = scrape.status.security
    if security is not None and security.expires is not None:
        day = dt.datetime.fromisoformat(security.expires).replace(tzinfo=dt.UTC)
        yield (), day.timestamp()


METRICS: Final = (
    Family(
        name="sbs_build_info",
        help="Which release runs; always 1.",
        labels=("version",),
        samples=lambda scrape: [((scrape.status.version,), 1.0)],
    ),
    Family(
        name="sbs_role",
        help="1 for the role that the node has, 0 for the others.",
        labels=("role",),
        samples=lambda scrape: [
            ((role.value,), float(role.value == scrape.status.role)) for role in Role
        ],
    ),
    Family(
        name="sbs_serving",
        help="1 if /primary answers 200: the node leads, and its services may run.",
        samples=_one(lambda scrape: scrape.health.serves),
    ),
    Family(
        name="sbs_epoch",
        help="Number of the newest primacy known; each takeover and each start makes a new one.",
        samples=_one(lambda scrape: scrape.status.epoch),
    ),
    Family(
        name="sbs_generation",
        help="Number of the last complete generation that this node holds.",
        samples=_one(lambda scrape: scrape.status.generation),
    ),
    Family(
        name="sbs_peer_connected",
        help="1 while the node is connected to the other one as its primary or secondary.",
        samples=_one(
            lambda scrape: scrape.status.peer is not None and scrape.status.peer.connected
        ),
    ),
    Family(
        name="sbs_in_step",
        help="1 if the secondary holds a complete generation of the primary's data.",
        samples=_one(lambda scrape: scrape.status.in_step),
    ),
    Family(
        name="sbs_lag_seconds",
        help="For how long something may have been written here that no secondary holds; 0 if "
        "nothing is known of. On a primary only.",
        samples=_lag,
    ),
    Family(
        name="sbs_paused",
        help="1 while automatic takeovers are suspended (sbs pause).",
        samples=_one(lambda scrape: scrape.status.paused),
    ),
    Family(
        name="sbs_vote",
        help="1 for each voter whose vote this primary has; with policy quorum only.",
        labels=("voter",),
        samples=_votes,
    ),
    Family(
        name="sbs_service_active",
        help="1 if the service runs on this node.",
        labels=("service",),
        samples=_running,
    ),
    Family(
        name="sbs_service_wanted",
        help="1 if the service runs on the primary, or a takeover starts it.",
        labels=("service",),
        samples=lambda scrape: _services(scrape, scrape.status.services.wanted),
    ),
    Family(
        name="sbs_service_restarts_total",
        help="How often the service was started again since the node's start.",
        labels=("service",),
        counts=True,
        samples=lambda scrape: [
            ((name,), float(count)) for name, count in scrape.status.services.restarts.items()
        ],
    ),
    Family(
        name="sbs_alarm",
        help="1 for each alarm that stands (docs/errors.md).",
        labels=("code",),
        samples=lambda scrape: [((alarm.code,), 1.0) for alarm in scrape.status.alarms],
    ),
    Family(
        name="sbs_last_update_timestamp_seconds",
        help="When the last update with changes was complete, since 1970.",
        samples=_update(lambda status: status.last_update.at if status.last_update else 0),
    ),
    Family(
        name="sbs_last_update_duration_seconds",
        help="How long that update took.",
        samples=_update(lambda status: status.last_update.duration_s if status.last_update else 0),
    ),
    Family(
        name="sbs_last_update_files",
        help="Changes in that update.",
        samples=_update(lambda status: status.last_update.files if status.last_update else 0),
    ),
    Family(
        name="sbs_last_update_bytes",
        help="Contents sent in that update.",
        samples=_update(lambda status: status.last_update.bytes if status.last_update else 0),
    ),
    Family(
        name="sbs_update_held",
        help="1 while the guard holds an update.",
        samples=_one(lambda scrape: scrape.status.held is not None),
    ),
    Family(
        name="sbs_problems",
        help="What the last update could not replicate; 100 stands for as many or more.",
        samples=_one(lambda scrape: len(scrape.status.problems)),
    ),
    Family(
        name="sbs_conflicts",
        help="File versions kept in quarantine on either node.",
        samples=_one(lambda scrape: scrape.status.conflict_count),
    ),
    Family(
        name="sbs_certificate_expiry_timestamp_seconds",
        help="Day on which the first certificate of the pair ends, since 1970; with TLS only.",
        samples=_certificates,
    ),
    Family(
        name="sbs_web_requests_total",
        help="Requests answered over HTTP since the node's start.",
        labels=("code",),
        counts=True,
        samples=lambda scrape: [
            ((str(code),), float(count)) for code, count in sorted(scrape.requests.items())
        ],
    ),
    Family(
        name="sbs_web_listeners",
        help="Event streams that are open.",
        samples=_one(lambda scrape: scrape.listeners),
    ),
)
"""Every metric of SBS, in the order of the page."""


def table() -> str:
    """All metrics in Markdown, as ``docs/web.md`` has them."""
    lines = ["| metric | labels | type | meaning |", "| --- | --- | --- | --- |"]
    for family in METRICS:
        labels = ", ".join(f"`{label}`" for label in family.labels)
        kind = "counter" if family.counts else "gauge"
        lines.append(f"| `{family.name}` | {labels} | {kind} | {family.help} |")
    return "".join(f"{line}\n" for line in lines)


class Metrics(Collector):
    """The metrics of one node, in a registry of their own."""

    def __init__(self) -> None:
        self._scrape: Scrape | None = None
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def collect(self) -> Iterator[Metric]:
        """The families of the present scrape, for the registry."""
        if self._scrape is None:
            return
        for family in METRICS:
            kind = CounterMetricFamily if family.counts else GaugeMetricFamily
            found = kind(family.name, family.help, labels=family.labels)
            for labels, value in family.samples(self._scrape):
                found.add_metric(labels, value)
            yield found

    def answer(self, scrape: Scrape) -> Answer:
        """The metrics in the text format of Prometheus.

        Args:
            scrape: what they are made of.
        """
        self._scrape = scrape
        return Answer(status=200, body=exposition(self._registry), kind=CONTENT_TYPE_LATEST)
