"""How pods are reached: relay Services inside a cohort, and what clients come through."""

from omnipipe.spec.cluster_fields import HttpRoute, Ingress
from omnipipe.spec.manifest import GatewaySpec
from omnipipe.spec.reader import ValidatedPipeline
from omnipipe_operator.children import names
from omnipipe_operator.children.containers import RELAY_PORT
from omnipipe_operator.children.labels import Component, selector
from omnipipe_operator.children.meta import metadata
from omnipipe_operator.children.owner import Owner
from omnipipe_operator.observed import Object

__all__ = ["HTTP_ROUTE", "base_url", "client_service", "http_route", "ingress", "relay_service"]

HTTP_ROUTE = "gateway.networking.k8s.io/v1/HTTPRoute"


def relay_service(owner: Owner, stage: str, revision: str) -> Object:
    """The name that resolves to all replicas of a stage. Those that are not ready are among them: the wire itself says
    which replica loads, works or drains, so a gateway is connected by the time that one becomes ready, and a replica
    that drains stays known until it has finished."""
    own = {"stage": stage, "revision": revision}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(owner, names.stage_workload(owner.name, stage, revision), Component.STAGE, **own),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": selector(owner.name, Component.STAGE, **own),
            "ports": [{"name": "relay", "port": RELAY_PORT, "targetPort": "relay", "protocol": "TCP"}],
        },
    }


def client_service(owner: Owner, gateway: GatewaySpec, serving: str) -> Object:
    """Turning its selector is what switches clients from one cohort to the next."""
    head = metadata(owner, names.service(owner.name), Component.GATEWAY)
    if gateway.service.annotations:
        head["annotations"] = dict(gateway.service.annotations)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": head,
        "spec": {
            "type": gateway.service.type,
            "selector": selector(owner.name, Component.GATEWAY, revision=serving),
            "ports": [{"name": "http", "port": gateway.service.port, "targetPort": "http", "protocol": "TCP"}],
        },
    }


def ingress(owner: Owner, spec: Ingress) -> Object:
    backend = {"service": {"name": names.service(owner.name), "port": {"name": "http"}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
    body: Object = {"rules": [{"host": spec.host, "http": {"paths": paths}}]}
    if spec.class_name is not None:
        body["ingressClassName"] = spec.class_name
    if spec.tls_secret_name is not None:
        body["tls"] = [{"hosts": [spec.host], "secretName": spec.tls_secret_name}]
    head = metadata(owner, names.service(owner.name), Component.GATEWAY)
    if spec.annotations:
        head["annotations"] = dict(spec.annotations)
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": head, "spec": body}


def http_route(owner: Owner, spec: HttpRoute, port: int) -> Object:
    body: Object = {
        "parentRefs": [parent.model_dump(by_alias=True, exclude_none=True) for parent in spec.parent_refs],
        "rules": [{"backendRefs": [{"name": names.service(owner.name), "port": port}]}],
    }
    if spec.hostnames:
        body["hostnames"] = list(spec.hostnames)
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": metadata(owner, names.service(owner.name), Component.GATEWAY),
        "spec": body,
    }


def base_url(pipeline: ValidatedPipeline, owner: Owner) -> str:
    """What an OpenAI client is given. Through an HTTPRoute it is the Gateway that knows host, port and TLS, so there
    too it is the Service's."""
    gateway = pipeline.pipeline.spec.gateway
    if gateway.ingress is not None and not gateway.ingress.host.startswith("*"):
        scheme = "http" if gateway.ingress.tls_secret_name is None else "https"
        return f"{scheme}://{gateway.ingress.host}/v1"
    port = "" if gateway.service.port == 80 else f":{gateway.service.port}"
    return f"http://{names.service(owner.name)}.{owner.namespace}.svc{port}/v1"
