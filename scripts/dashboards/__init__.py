"""The chart's Grafana dashboards, from a few lines a panel: what is asked and in which unit. Grafana's own format is
what `make generate` writes into the chart; nobody edits that.
"""

from scripts.dashboards.grafana import DASHBOARDS, render_dashboards

__all__ = ["DASHBOARDS", "render_dashboards"]
