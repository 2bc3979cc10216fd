"""The containers of our pods: command, ports, probes, mounts. What holds for any of them is in `container`."""

from collections.abc import Sequence
from typing import Final

from omnipipe.spec.pods import EnvVar, PodFields, Resources, StagePodFields
from omnipipe_operator.children.models import FOLDER, Weights
from omnipipe_operator.observed import Object

__all__ = [
    "ADMIN_PORT",
    "API_KEYS_VOLUME",
    "CURVE_VOLUME",
    "FETCH",
    "GATEWAY",
    "HTTP_PORT",
    "PLAN_VOLUME",
    "RELAY_PORT",
    "SHARED_MEMORY_VOLUME",
    "STAGE",
    "TEMPORARY_VOLUME",
    "fetch_container",
    "gateway_container",
    "stage_container",
]

STAGE: Final = "stage"
GATEWAY: Final = "gateway"
FETCH: Final = "fetch"
"""What our containers are called, by which a podTemplate addresses them."""

RELAY_PORT: Final = 5600
ADMIN_PORT: Final = 9000
HTTP_PORT: Final = 8000

PLAN_VOLUME: Final = "plan"
CURVE_VOLUME: Final = "curve"
API_KEYS_VOLUME: Final = "api-keys"
TEMPORARY_VOLUME: Final = "tmp"
SHARED_MEMORY_VOLUME: Final = "shared-memory"

_ETC: Final = "/etc/omnipipe"
_LAME_DUCK_S: Final = 5
"""How long a gateway that was told to stop goes on as before: endpoint changes reach all nodes within a second or
two."""
_NOT_FOR_REQUESTS_S: Final = 10
"""Of the termination grace period: the lame-duck time, and 5 s to leave."""
_LOAD_S: Final = 3600
"""A stage that has not loaded by then is started again. Long: large models take a quarter of an hour from a slow disk,
and one that cannot load ends by itself and says why."""
_PLAIN_RESOURCES: Final = frozenset({"cpu", "memory", "ephemeral-storage"})


def stage_container(stage: str, image: str, fields: StagePodFields, weights: Weights, grace_s: int) -> Object:
    command = ["stage", "--plan", f"{_ETC}/plan/plan.json", "--stage", stage, "--admin", f"0.0.0.0:{ADMIN_PORT}"]
    return {
        **_container(STAGE, image, fields, list(weights.env)),
        "args": [*command, *_shared_arguments(grace_s)],
        "ports": [_port("relay", RELAY_PORT), _port("admin", ADMIN_PORT)],
        **_resources(fields.resources),
        "startupProbe": _probe("/readyz", "admin", every_s=1, failures=_LOAD_S),
        "readinessProbe": _probe("/readyz", "admin", every_s=2),
        "livenessProbe": _probe("/livez", "admin", every_s=10),
        "volumeMounts": [
            *_shared_mounts(),
            {"name": SHARED_MEMORY_VOLUME, "mountPath": "/dev/shm"},
            *weights.mounts(),
        ],
    }


def gateway_container(image: str, fields: PodFields, grace_s: int, *, api_keys: bool) -> Object:
    """Live long before it is ready: it waits for the stages."""
    command = ["gateway", "--plan", f"{_ETC}/plan/plan.json", "--host", "0.0.0.0", "--port", str(HTTP_PORT)]
    keys_folder = f"{_ETC}/{API_KEYS_VOLUME}"
    if api_keys:
        command += ["--api-keys-file", f"{keys_folder}/keys"]
    mounts = _shared_mounts()
    if api_keys:
        mounts.append({"name": API_KEYS_VOLUME, "mountPath": keys_folder, "readOnly": True})
    return {
        **_container(GATEWAY, image, fields, []),
        "args": [*command, "--lame-duck-s", str(_LAME_DUCK_S), *_shared_arguments(grace_s)],
        "ports": [_port("http", HTTP_PORT)],
        **_resources(fields.resources),
        "startupProbe": _probe("/livez", "http", every_s=1, failures=120),
        "readinessProbe": _probe("/readyz", "http", every_s=1),
        "livenessProbe": _probe("/livez", "http", every_s=10),
        "volumeMounts": mounts,
    }


def fetch_container(
    sources: Sequence[str], image: str, fields: PodFields, weights: Weights, token: Object | None
) -> Object:
    """Ends when the weights are there; does nothing when they are already."""
    return {
        **_container(FETCH, image, fields, [] if token is None else [{"name": "HF_TOKEN", "valueFrom": token}]),
        "args": ["fetch", *sources, "--into", FOLDER],
        **_resources(_plain(fields.resources)),
        "volumeMounts": [
            {"name": TEMPORARY_VOLUME, "mountPath": "/tmp"},
            *weights.mounts(writable=True),
        ],
    }


def _shared_arguments(grace_period_s: int) -> list[str]:
    grace_s = grace_period_s - _NOT_FOR_REQUESTS_S
    return ["--grace-s", str(grace_s), "--curve-dir", f"{_ETC}/curve", "--log-format", "json"]


def _shared_mounts() -> list[Object]:
    return [
        {"name": PLAN_VOLUME, "mountPath": f"{_ETC}/plan", "readOnly": True},
        {"name": CURVE_VOLUME, "mountPath": f"{_ETC}/curve", "readOnly": True},
        {"name": TEMPORARY_VOLUME, "mountPath": "/tmp"},
    ]


def _container(name: str, image: str, fields: PodFields, own_env: list[Object]) -> Object:
    """The root file system is read-only, so what libraries cache goes where it may be written."""
    variables = [{"name": "HOME", "value": "/tmp"}, *own_env, *map(_variable, fields.env)]
    return {
        "name": name,
        "image": image,
        "command": ["omnipipe"],
        "env": list({variable["name"]: variable for variable in variables}.values()),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }


def _variable(variable: EnvVar) -> Object:
    for kind, reference in (
        ("secretKeyRef", variable.secret_key_ref),
        ("configMapKeyRef", variable.config_map_key_ref),
    ):
        if reference is not None:
            return {"name": variable.name, "valueFrom": {kind: {"name": reference.name, "key": reference.key}}}
    return {"name": variable.name, "value": variable.value or ""}


def _resources(resources: Resources) -> Object:
    given = {"requests": dict(resources.requests), "limits": dict(resources.limits)}
    given = {name: quantities for name, quantities in given.items() if quantities}
    return {"resources": given} if given else {}


def _plain(resources: Resources) -> Resources:
    """Without devices: fetching needs none, and a Job would keep one from a stage."""
    return Resources(
        requests={name: value for name, value in resources.requests.items() if name in _PLAIN_RESOURCES},
        limits={name: value for name, value in resources.limits.items() if name in _PLAIN_RESOURCES},
    )


def _port(name: str, number: int) -> Object:
    return {"name": name, "containerPort": number, "protocol": "TCP"}


def _probe(path: str, port: str, *, every_s: int, failures: int = 3) -> Object:
    return {
        "httpGet": {"path": path, "port": port},
        "periodSeconds": every_s,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }
