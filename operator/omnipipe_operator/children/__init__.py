"""What a pipeline owns on a cluster, as pure functions from its manifest to Kubernetes objects.

Nothing here looks at a cluster or decides when: `decide` says which cohorts there should be and which of them serves.
"""

from omnipipe_operator.children.cohort import Cohort, Images, cohort_plan, make_cohort
from omnipipe_operator.children.curve import current_curve_secret, new_curve_secret
from omnipipe_operator.children.hashing import applied_hash, stamped
from omnipipe_operator.children.keeping import kept
from omnipipe_operator.children.meta import FIELD_MANAGER
from omnipipe_operator.children.models import draft_problem, source_problem
from omnipipe_operator.children.owner import Owner
from omnipipe_operator.children.references import references
from omnipipe_operator.children.render import cohort_objects, standing_objects
from omnipipe_operator.children.scaling import held_replicas
from omnipipe_operator.children.services import base_url
from omnipipe_operator.children.workloads import fetch_job

__all__ = [
    "FIELD_MANAGER",
    "Cohort",
    "Images",
    "Owner",
    "applied_hash",
    "base_url",
    "cohort_objects",
    "cohort_plan",
    "current_curve_secret",
    "draft_problem",
    "fetch_job",
    "held_replicas",
    "kept",
    "make_cohort",
    "new_curve_secret",
    "references",
    "source_problem",
    "stamped",
    "standing_objects",
]
