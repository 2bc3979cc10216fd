"""What makes a model quicker on a GPU: attention over paged KV as one kernel, and decode steps as captured graphs.

None of it serves before it has been compared, on the device itself, with what plain operations give; what differs or
fails stays off. Nothing here is imported where there is no GPU, but by tests, in Triton's interpreter.
"""
