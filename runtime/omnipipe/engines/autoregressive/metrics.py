"""What an autoregressive stage reports beside what every stage does. Written by the engine's thread."""

from omnipipe.observe.metrics import Counter, Gauge, Registry

__all__ = ["AutoregressiveMetrics"]

_STAGE = ("namespace", "pipeline", "stage", "revision")


class AutoregressiveMetrics:
    def __init__(self, registry: Registry, *, namespace: str, pipeline: str, stage: str, revision: str) -> None:
        where = (namespace, pipeline, stage, revision)

        def counter(name: str, text: str) -> Counter:
            return registry.counter(f"omnipipe_autoregressive_{name}", text, _STAGE).labels(*where)

        def gauge(name: str, text: str) -> Gauge:
            return registry.gauge(f"omnipipe_autoregressive_{name}", text, _STAGE).labels(*where)

        self.positions: Counter = counter("positions", "Positions that were run through the model.")
        self.tokens: Counter = counter("generated_tokens", "Tokens sampled.")
        self.asked_tokens: Counter = counter("prefix_asked_tokens", "Input positions looked for in the prefix cache.")
        self.hit_tokens: Counter = counter("prefix_hit_tokens", "Input positions taken from the prefix cache.")
        self.preemptions: Counter = counter("preemptions", "Requests that gave up their KV to others for a while.")
        self.shrunk: Counter = counter("shrunk_steps", "Steps that ran out of memory and were done in parts.")
        self.drafted: Counter = counter("drafted_tokens", "Tokens that the draft model guessed.")
        self.accepted: Counter = counter("accepted_tokens", "Guesses that the model's own choice turned out equal to.")
        self.draft_failures: Counter = counter("draft_failures", "Times that the draft model failed, and was left out.")
        self.blocks: Gauge = gauge("kv_blocks", "Blocks of KV memory.")
        self.blocks_held: Gauge = gauge("kv_blocks_held", "Blocks of KV memory that requests hold.")
        self.running: Gauge = gauge("running", "Requests that hold KV memory.")
        self.waiting: Gauge = gauge("waiting", "Requests that wait for KV memory.")
