"""From what is observed to what people read: conditions, reasons, the stages' rows, events.

Pure, and decides nothing: a condition says what `rollout` does and why it cannot go on.
"""
