"""Histogram bounds, in seconds unless the name says otherwise, and why these.

Fixed for all pipelines, so that one dashboard fits all. Steps of 2 to 2.5 keep a p95 read from the buckets within a
factor that a person would act on the same way, with at most 15 series a label set.
"""

from typing import Final

__all__ = ["BATCH_SIZE", "EDGE", "FIRST", "INTER_TOKEN", "REQUEST", "STEP"]

REQUEST: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
"""Whole requests: an echo in milliseconds, a chat in seconds, a long generation up to the default limit of 600 s."""

FIRST: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10, 30, 60)
"""To the first token or sound: what a person waits for. Dense around 0.1-1 s, where services set their objectives;
the tail holds long prompts and requests that queued."""

INTER_TOKEN: Final = (0.001, 0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1, 2.5)
"""Between tokens: 10-50 ms is what accelerators do, 50-200 ms what CPUs do, a second is a stall that is seen."""

STEP: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
"""One engine step: 0.1 ms for a preprocess stage, 5-100 ms for a decode, seconds for a vocoder or an image."""

EDGE: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10)
"""From sending to the consumer's acknowledgement: 0.1 ms on one machine, seconds when the consumer is slow."""

BATCH_SIZE: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Jobs in one step."""
