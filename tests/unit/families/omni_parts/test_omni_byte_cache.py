"""The cache of embeddings is bounded in bytes and forgets what was not asked for longest."""

from omnipipe.families.omni_parts.byte_cache import ByteCache


def test_the_oldest_goes_first() -> None:
    cache: ByteCache[str] = ByteCache(10)
    cache.put(b"a", "A", 4)
    cache.put(b"b", "B", 4)
    assert cache.get(b"a") == "A"
    cache.put(b"c", "C", 4)
    assert [cache.get(key) for key in (b"a", b"b", b"c")] == ["A", None, "C"]
    assert (cache.nbytes, len(cache), cache.hits, cache.misses) == (8, 2, 3, 1)


def test_what_is_larger_than_all_of_it_is_not_kept() -> None:
    cache: ByteCache[str] = ByteCache(10)
    cache.put(b"a", "A", 4)
    cache.put(b"b", "B", 11)
    assert cache.get(b"a") == "A"
    assert cache.get(b"b") is None


def test_put_again_counts_once() -> None:
    cache: ByteCache[str] = ByteCache(10)
    for size in (4, 6, 5):
        cache.put(b"a", "A", size)
    assert (cache.nbytes, len(cache)) == (5, 1)


def test_none_at_all() -> None:
    cache: ByteCache[str] = ByteCache(0)
    cache.put(b"a", "A", 1)
    assert len(cache) == 0
