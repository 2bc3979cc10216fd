"""The chart as it may be after the next release: another version, and kinds that say something new."""

import shutil
from pathlib import Path

import yaml
from tests.cluster.chart.helm import CHART

__all__ = ["next_chart"]


def next_chart(folder: Path) -> Path:
    """A copy in the folder."""
    chart = folder / "omnipipe"
    shutil.copytree(CHART, chart)
    about = yaml.safe_load((chart / "Chart.yaml").read_text())
    (chart / "Chart.yaml").write_text(yaml.safe_dump({**about, "version": "0.2.0", "appVersion": "0.2.0"}))
    file = chart / "files/crds/omnipipelines.yaml"
    crd = yaml.safe_load(file.read_text())
    columns = crd["spec"]["versions"][0]["additionalPrinterColumns"]
    columns.append({"name": "New", "type": "string", "jsonPath": ".spec.new"})
    file.write_text(yaml.safe_dump(crd))
    return chart
