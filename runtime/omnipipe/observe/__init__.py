"""What a process tells the outside of itself: Prometheus metrics and request events. It decides nothing.

`metrics` holds the families of a gateway, a coordinator and a stage; `events` writes one line for each thing that
happens to a request; `reading` turns those lines back into timelines; `merge` makes one exposition of several.
"""
