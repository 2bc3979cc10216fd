"""Media that a request refers to: fetched under guard, read from allowed folders, unpacked from data: URLs.

    resolver = MediaResolver(plan)                  # one for a pipeline
    request = await resolver.resolve(request)       # between parsing and submitting

Nothing is fetched unless the manifest says from where (`spec.gateway.media`). Decoding happens in the stages.
"""

from omnipipe.gateway.media.resolver import MediaResolver

__all__ = ["MediaResolver"]
