"""The chart is upgraded, and goes back, while clients stream from a pipeline all the time: none of them notices, and no
pod of the pipeline is touched before somebody asks for it. There is no released version yet: the previous one is the
chart as it stands, the next one a chart with another version, other images and a kind that says something new."""

from pathlib import Path

import pytest
from tests.cluster.chart.next_chart import next_chart
from tests.e2e.cluster import Cluster, Images
from tests.e2e.load import Load
from tests.e2e.namespace import eventually
from tests.e2e.pipelines import READY_S, Pipelines, manifest
from tests.e2e.release import NAMESPACE, RELEASE, helm, install
from tests.e2e.test_changes import SETTLED_S, images_of, uids

CRD = "crd/omnipipelines.omnipipe.dev"


@pytest.fixture
def next_images(images: Images, cluster: Cluster) -> Images:
    """The same under other names, as the next release's would have."""
    machine = cluster.machine
    if machine is None:
        pytest.skip("needs a second name of one image on the nodes, which only a cluster of our own can be given")

    def again(name: str) -> str:
        machine.name_again(name, f"{name}-next")
        return f"{name}-next"

    return Images(again(images.operator), again(images.gateway), again(images.stage))


def test_an_upgrade_is_noticed_by_no_client(
    pipelines: Pipelines, images: Images, next_images: Images, cluster: Cluster, tmp_path: Path
) -> None:
    name = pipelines.apply(manifest("upgraded"))
    pipelines.settled(name)
    before, revision = uids(pipelines, name), pipelines.serving(name)

    with pipelines.namespace.reach(name) as url, Load(url, name) as load:
        load.goes_on(8)
        try:
            install(cluster, next_images, next_chart(tmp_path))
            assert operator_image(cluster) == next_images.operator
            assert "New" in columns(pipelines)
            repaired(pipelines, name)
            load.goes_on(8)
            assert uids(pipelines, name) == before, "an operator with other images rolls nothing"
            assert pipelines.serving(name) == revision

            pipelines.namespace.kubectl("annotate", f"omnipipeline/{name}", "omnipipe.dev/restart=for the new images")
            eventually(
                lambda: images_of(pipelines, name, "compose") == {next_images.stage},
                pipelines.namespace.story,
                SETTLED_S,
            )
            eventually(lambda: not before & uids(pipelines, name), pipelines.namespace.story, SETTLED_S)
            load.goes_on(8)
            after = uids(pipelines, name)
        finally:
            helm(cluster, "rollback", RELEASE, "--wait", "--timeout=240s")
        assert operator_image(cluster) == images.operator
        assert "New" not in columns(pipelines)
        repaired(pipelines, name)
        load.goes_on(8)
        assert uids(pipelines, name) == after
    assert pipelines.serving(name) == revision


def repaired(pipelines: Pipelines, name: str) -> None:
    """The operator that is there now leads, and looks after the pipeline."""
    budget = f"poddisruptionbudget/{name}-compose"
    old = pipelines.namespace.get(budget)["metadata"]["uid"]
    pipelines.namespace.kubectl("delete", budget)

    def is_back() -> bool:
        done = pipelines.namespace.cluster.kubectl(
            f"--namespace={pipelines.namespace.name}", "get", budget, "-o", "jsonpath={.metadata.uid}"
        )
        return done.stdout not in ("", old)

    eventually(is_back, f"{budget} is made again", READY_S)


def columns(pipelines: Pipelines) -> list[str]:
    served = pipelines.namespace.get(CRD)["spec"]["versions"][0]
    return [str(column["name"]) for column in served["additionalPrinterColumns"]]


def operator_image(cluster: Cluster) -> str:
    path = "jsonpath={.spec.template.spec.containers[0].image}"
    return cluster.kubectl(f"--namespace={NAMESPACE}", "get", f"deployment/{RELEASE}", "-o", path).stdout
