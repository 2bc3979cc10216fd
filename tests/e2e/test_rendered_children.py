"""The objects that the operator would make, applied by hand: images, security standard, wire and addresses, without an
operator that could paper over any of it."""

from pathlib import Path

from tests.e2e.cluster import Images
from tests.e2e.namespace import Namespace, Object, eventually
from tests.e2e.pipelines import ask

from omnipipe.families.registry import family_names, find_family
from omnipipe.spec.reader import read_pipelines
from omnipipe_operator.children import Owner, cohort_objects, make_cohort, new_curve_secret, standing_objects
from omnipipe_operator.settings import OperatorSettings

EXAMPLE = Path(__file__).parents[2] / "examples" / "echo-replicas.yaml"
READY_S = 240.0


def test_a_rendered_cohort_answers_through_its_service(namespace: Namespace, images: Images) -> None:
    namespace.apply(*rendered(EXAMPLE, namespace, images))

    with namespace.reach("chorus") as url:
        eventually(lambda: namespace.says_ready(url), namespace.story, READY_S)
        pieces = ask(url, "gpt-echo", "hello out there")

    assert "".join(pieces) == "hello out there"
    assert len(pieces) > 1


def rendered(example: Path, namespace: Namespace, images: Images) -> list[Object]:
    [pipeline] = read_pipelines(example.read_bytes(), example.name, find_family, family_names())
    settings = OperatorSettings(
        gateway_image=images.gateway, stage_image=images.stage, image_pull_policy="IfNotPresent"
    )
    owner = Owner(pipeline.pipeline.name, namespace.name, "00000000-0000-0000-0000-000000000000")
    secret = new_curve_secret(owner)
    cohort = make_cohort(pipeline, owner, settings, [], curve_secret=secret["metadata"]["name"])
    replicas = {stage.name: 1 for stage in cohort.plan.stages}
    objects = [
        secret,
        *cohort_objects(pipeline, owner, cohort, settings, replicas=replicas, gateway_replicas=1),
        *standing_objects(pipeline, owner, serving=cohort.revision, kinds=frozenset()),
    ]
    ours = [one for one in objects if not one["apiVersion"].startswith("omnipipe.dev/")]
    for one in ours:  # nobody owns them: the garbage collector would remove them at once
        one["metadata"].pop("ownerReferences", None)
        one["metadata"].setdefault("namespace", namespace.name)
    return ours
