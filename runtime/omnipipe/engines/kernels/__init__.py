"""C++ for CPUs: what engines and families compute with where it is there, and do without where it is not.

A new source needs no more than to lie here: all of them make one library. Must not know requests, models or engines.
"""
