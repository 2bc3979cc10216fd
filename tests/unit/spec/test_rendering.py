from omnipipe.families.registry import family_names, find_family
from omnipipe.spec.plan import Plan
from omnipipe.spec.reader import read_object
from omnipipe.spec.render import render_mermaid, render_text


def plan() -> Plan:
    manifest = {
        "apiVersion": "omnipipe.dev/v1alpha1",
        "kind": "OmniPipeline",
        "metadata": {"name": "assistant"},
        "spec": {
            "model": {"family": "echo"},
            "stages": [{"name": "synth", "replicas": 2, "engine": {"maxBatch": 8, "maxCost": 100, "maxWaitMs": 5}}],
        },
    }
    one = read_object(manifest, find_family, family_names())
    return one.compile(lambda stage, replica: f"ipc:///{stage}{replica}")


AS_TEXT = """\
assistant  family echo, revision {revision}
serves  assistant

STAGE    REPLICAS  ENGINE        BATCH                 RUNNING  NOTE
ingest   1         batch inline  32                    256      entry
words    1         batch inline  32                    256
pitch    1         batch inline  32                    256
compose  1         batch inline  32                    256
synth    2         batch inline  8 cost 100 wait 5 ms  256

ingest   ->  words    prompt: json
ingest   ->  pitch    prompt: json
words    ->  compose  pieces: json
pitch    ->  compose  pitches: json
compose  ~>  synth    notes: json
compose  ~>  (text)   text: text
synth    ~>  (audio)  audio: audio
"""


def test_as_text() -> None:
    made = plan()

    assert render_text(made) == AS_TEXT.format(revision=made.revision)


def test_as_mermaid() -> None:
    assert (
        render_mermaid(plan())
        == """\
flowchart LR
  client([request])
  s0["ingest"]
  s1["words"]
  s2["pitch"]
  s3["compose"]
  s4["synth x2"]
  o0(["text"])
  o1(["audio"])
  client --> s0
  s0 -->|"prompt: json"| s1
  s0 -->|"prompt: json"| s2
  s1 -->|"pieces: json"| s3
  s2 -->|"pitches: json"| s3
  s3 -.->|"notes: json"| s4
  s3 -.->|"text: text"| o0
  s4 -.->|"audio: audio"| o1
"""
    )
