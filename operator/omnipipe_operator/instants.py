"""Points in time as Kubernetes writes them, to the second."""

from datetime import UTC, datetime

__all__ = ["parse_instant", "written_instant"]


def parse_instant(text: object) -> float | None:
    """Seconds since 1970; None when nobody wrote it, or not in this form."""
    if not isinstance(text, str):
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()


def written_instant(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
