"""Bytes of pictures, sound and video to arrays, and samples to bytes of sound.

What comes in was made by strangers: headers lie, files are cut short, a kilobyte can stand for a gigabyte. Every
function here takes a `MediaLimits`, looks at sizes before it allocates, and ends in arrays or in a `RequestError` with
one sentence for the client; nothing of FFmpeg's or Pillow's own words gets out.

No request, stage or gateway is known here, and nothing is fetched. av, Pillow, soxr and numpy are imported inside the
functions that need them: a gateway that only passes bytes on has none of them installed.
"""
