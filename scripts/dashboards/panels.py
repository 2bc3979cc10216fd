"""What a dashboard is made of, and the queries that most panels ask.

Quantiles are read from `rate()` of buckets by `le`, never from lifetime sums: those would show the past for ever.
"""

from dataclasses import dataclass
from typing import Final

__all__ = ["PIPELINE", "RATE", "Dashboard", "Panel", "Row", "quantile", "rate", "spread"]

PIPELINE: Final = 'namespace=~"$namespace",pipeline=~"$pipeline",revision=~"$revision"'
RATE: Final = "[$__rate_interval]"


@dataclass(frozen=True, slots=True)
class Panel:
    title: str
    unit: str
    """Grafana's id: `s`, `reqps`, `short`, `Bps`, `percentunit` ..."""
    queries: tuple[tuple[str, str], ...]
    """Expression and legend."""
    text: str = ""
    """What it means, and what to do about it."""
    stacked: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Dashboard:
    uid: str
    title: str
    variables: tuple[tuple[str, str], ...]
    """Name and the query for its values; each may be many, or all."""
    rows: tuple[Row, ...]


def rate(by: str, metric: str, where: str = PIPELINE) -> str:
    return f"sum by ({by}) (rate({metric}{{{where}}}{RATE}))"


def quantile(of: float, metric: str, by: str = "", where: str = PIPELINE) -> str:
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({of}, sum by ({labels}) (rate({metric}_bucket{{{where}}}{RATE})))"


def spread(metric: str, where: str = PIPELINE) -> tuple[tuple[str, str], ...]:
    return tuple((quantile(of, metric, where=where), name) for of, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99")))
