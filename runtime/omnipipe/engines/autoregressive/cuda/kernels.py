"""Attention over paged KV in one launch for all slices of a step: what runs on the GPU.

The memory is laid out as `kv` says. Work comes in tiles: up to `BLOCK_M // GROUPS` neighbouring positions of one
sequence, with all query heads of one KV head. Each tile is five numbers:

    first row of the packed row | rows, 0: nothing | position of the first | row of `tables` | 1: clear behind it

Sizes that depend on what a step holds are read from there, so that a launch for the same number of tiles is the same
launch, and can be captured. Must be imported where there is a GPU, or Triton's interpreter, alone.
"""

import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]

__all__ = ["attend", "merge", "store"]


@triton.jit(do_not_specialize=["table_width"])  # type: ignore[untyped-decorator]
def store(
    key: tl.tensor,
    value: tl.tensor,
    keys: tl.tensor,
    values: tl.tensor,
    tiles: tl.tensor,
    tables: tl.tensor,
    key_head: tl.tensor,
    key_row: tl.tensor,
    value_head: tl.tensor,
    value_row: tl.tensor,
    table_width: tl.tensor,
    KV_HEADS: tl.constexpr,
    SLOTS: tl.constexpr,
    SLOTS_2: tl.constexpr,
    KEY_DIM: tl.constexpr,
    KEY_DIM_2: tl.constexpr,
    VALUE_DIM: tl.constexpr,
    VALUE_DIM_2: tl.constexpr,
    ROWS: tl.constexpr,
) -> None:
    """Keys and values of a tile and one head into their blocks. What is behind the last of a block that was begun is
    zeroed: the plain operations multiply it by 0. Sizes with a 2: the next power of two."""
    tile = tiles + tl.program_id(0) * 5
    head = tl.program_id(1)
    row = tl.load(tile).to(tl.int64)
    rows = tl.load(tile + 1)
    position = tl.load(tile + 2)
    table = tables + tl.load(tile + 3) * table_width
    clears = tl.load(tile + 4)
    if rows == 0:
        return
    at = tl.arange(0, ROWS)
    inside = at < rows
    place = position + at
    block = tl.load(table + place // SLOTS, mask=inside, other=0).to(tl.int64) * KV_HEADS + head
    slot = place % SLOTS
    k_dim = tl.arange(0, KEY_DIM_2)
    v_dim = tl.arange(0, VALUE_DIM_2)
    k_mask = inside[:, None] & (k_dim < KEY_DIM)[None, :]
    k = tl.load(key + head * key_head + (row + at)[:, None] * key_row + k_dim[None, :], mask=k_mask)
    tl.store(keys + (block * KEY_DIM * SLOTS + slot)[:, None] + k_dim[None, :] * SLOTS, k, mask=k_mask)
    v_mask = inside[:, None] & (v_dim < VALUE_DIM)[None, :]
    v = tl.load(value + head * value_head + (row + at)[:, None] * value_row + v_dim[None, :], mask=v_mask)
    tl.store(values + ((block * SLOTS + slot) * VALUE_DIM)[:, None] + v_dim[None, :], v, mask=v_mask)
    if clears != 0:
        last = position + rows - 1
        behind = tl.load(table + last // SLOTS).to(tl.int64) * KV_HEADS + head
        free = tl.arange(0, SLOTS_2)
        empty = (free > last % SLOTS) & (free < SLOTS)
        k_free = (k_dim < KEY_DIM)[:, None] & empty[None, :]
        k_zeros = tl.zeros([KEY_DIM_2, SLOTS_2], keys.dtype.element_ty)
        tl.store(keys + behind * KEY_DIM * SLOTS + k_dim[:, None] * SLOTS + free[None, :], k_zeros, mask=k_free)
        v_free = empty[:, None] & (v_dim < VALUE_DIM)[None, :]
        v_zeros = tl.zeros([SLOTS_2, VALUE_DIM_2], values.dtype.element_ty)
        tl.store(values + (behind * SLOTS + free[:, None]) * VALUE_DIM + v_dim[None, :], v_zeros, mask=v_free)


@triton.jit  # type: ignore[untyped-decorator]
def _columns(
    position: tl.tensor, end: tl.tensor, window: tl.tensor, part: tl.tensor, parts: tl.tensor,
    BLOCK_N: tl.constexpr, SPLIT: tl.constexpr,
) -> tuple[tl.tensor, tl.tensor]:  # fmt: skip
    """The blocks of positions that a tile, or its part of them, has to look at."""
    first = 0
    if window > 0:
        first = tl.maximum(position - window + 1, 0) // BLOCK_N
    last = tl.cdiv(end, BLOCK_N)
    if SPLIT:
        size = tl.cdiv(last - first, parts)
        first = first + part * size
        last = tl.minimum(first + size, last)
    return first, last


@triton.jit  # type: ignore[untyped-decorator]
def _scores(
    q: tl.tensor, k: tl.tensor, asks: tl.tensor, place: tl.tensor, inside: tl.tensor,
    window: tl.tensor, scale: tl.tensor, softcap: tl.tensor, SOFTCAP: tl.constexpr,
) -> tl.tensor:  # fmt: skip
    """Of rows at positions `asks` for keys at `place`; -inf where a row must not look."""
    score = tl.dot(q, k, input_precision="ieee") * scale
    if SOFTCAP:
        shrunk = tl.exp(-2.0 * tl.abs(score / softcap))
        size_of = softcap * (1.0 - shrunk) / (1.0 + shrunk)  # tanh
        score = tl.where(score < 0, -size_of, size_of)
    seen = inside[None, :] & (place[None, :] <= asks[:, None])
    if window > 0:
        seen = seen & (place[None, :] > (asks - window)[:, None])
    return tl.where(seen, score, float("-inf"))


@triton.jit(do_not_specialize=["table_width", "window"])  # type: ignore[untyped-decorator]
def attend(
    query: tl.tensor, keys: tl.tensor, values: tl.tensor, out: tl.tensor, sums: tl.tensor, peaks: tl.tensor,
    sinks: tl.tensor, tiles: tl.tensor, tables: tl.tensor, query_head: tl.tensor, query_row: tl.tensor,
    table_width: tl.tensor, window: tl.tensor, scale: tl.tensor, softcap: tl.tensor,
    KV_HEADS: tl.constexpr, GROUPS: tl.constexpr, SLOTS: tl.constexpr,
    KEY_DIM: tl.constexpr, KEY_DIM_2: tl.constexpr, VALUE_DIM: tl.constexpr, VALUE_DIM_2: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
    SPLIT: tl.constexpr, SOFTCAP: tl.constexpr, SINKS: tl.constexpr,
) -> None:  # fmt: skip
    """A tile against what its sequence has seen; with SPLIT one part of that, which `merge` adds to the others.
    `out`: `[rows, heads, value]`, with SPLIT `[rows, heads, parts, value]` of sums not yet divided. `window`: 0
    without."""
    tile = tiles + tl.program_id(0) * 5
    head = tl.program_id(1)
    part = tl.program_id(2)
    parts = tl.num_programs(2)
    row = tl.load(tile).to(tl.int64)
    rows = tl.load(tile + 1)
    position = tl.load(tile + 2)
    table = tables + tl.load(tile + 3) * table_width
    if rows == 0:
        return
    m = tl.arange(0, BLOCK_M)
    at = m // GROUPS
    q_head = head * GROUPS + m % GROUPS
    asked = (at < rows) & (at < BLOCK_M // GROUPS)
    k_dim = tl.arange(0, KEY_DIM_2)
    v_dim = tl.arange(0, VALUE_DIM_2)
    q = tl.load(
        query + (q_head * query_head + (row + at) * query_row)[:, None] + k_dim[None, :],
        mask=asked[:, None] & (k_dim < KEY_DIM)[None, :],
        other=0.0,
    )
    end = position + rows
    first, last = _columns(position, end, window, part, parts, BLOCK_N, SPLIT)
    peak = tl.full([BLOCK_M], float("-inf"), tl.float32)
    total = tl.zeros([BLOCK_M], tl.float32)
    if SINKS:  # noqa: SIM102  # the first is decided when this is compiled
        if part == 0:
            peak = tl.load(sinks + q_head, mask=asked, other=0.0).to(tl.float32)
            total += 1.0
    found = tl.zeros([BLOCK_M, VALUE_DIM_2], tl.float32)
    for n in range(first, last):
        place = n * BLOCK_N + tl.arange(0, BLOCK_N)
        inside = place < end
        block = tl.load(table + place // SLOTS, mask=inside, other=0).to(tl.int64) * KV_HEADS + head
        slot = place % SLOTS
        k = tl.load(
            keys + (block * KEY_DIM * SLOTS + slot)[None, :] + k_dim[:, None] * SLOTS,
            mask=(k_dim < KEY_DIM)[:, None] & inside[None, :],
            other=0.0,
        )
        score = _scores(q, k, position + at, place, inside, window, scale, softcap, SOFTCAP)
        higher = tl.maximum(peak, tl.max(score, 1))
        safe = tl.where(higher == float("-inf"), 0.0, higher)
        weight = tl.exp(score - safe[:, None])
        fade = tl.exp(peak - safe)
        v = tl.load(
            values + ((block * SLOTS + slot) * VALUE_DIM)[:, None] + v_dim[None, :],
            mask=inside[:, None] & (v_dim < VALUE_DIM)[None, :],
            other=0.0,
        )
        total = total * fade + tl.sum(weight, 1)
        found = found * fade[:, None] + tl.dot(weight.to(v.dtype), v, input_precision="ieee")
        peak = higher
    to = (row + at) * (KV_HEADS * GROUPS) + q_head
    mask = asked[:, None] & (v_dim < VALUE_DIM)[None, :]
    if SPLIT:
        to = to * parts + part
        tl.store(sums + to, total, mask=asked)
        tl.store(peaks + to, peak, mask=asked)
    else:
        found = found / tl.where(total == 0.0, 1.0, total)[:, None]
    tl.store(out + to[:, None] * VALUE_DIM + v_dim[None, :], found.to(out.dtype.element_ty), mask=mask)


@triton.jit(do_not_specialize=["parts"])  # type: ignore[untyped-decorator]
def merge(
    partial: tl.tensor,
    sums: tl.tensor,
    peaks: tl.tensor,
    out: tl.tensor,
    parts: tl.tensor,
    VALUE_DIM: tl.constexpr,
    VALUE_DIM_2: tl.constexpr,
    MOST: tl.constexpr,
) -> None:
    """The parts of a row and head, at most MOST, into what they are together. Where all are empty: zeros."""
    at = tl.program_id(0)
    part = tl.arange(0, MOST)
    v_dim = tl.arange(0, VALUE_DIM_2)
    total = tl.load(sums + at * parts + part, mask=part < parts, other=0.0)
    filled = total != 0.0
    peak = tl.load(peaks + at * parts + part, mask=filled, other=float("-inf"))
    highest = tl.max(peak, 0)
    weight = tl.where(filled, tl.exp(peak - highest), 0.0)
    found = tl.load(
        partial + (at.to(tl.int64) * parts + part)[:, None] * VALUE_DIM + v_dim[None, :],
        mask=filled[:, None] & (v_dim < VALUE_DIM)[None, :],
        other=0.0,
    )
    whole = tl.sum(weight * total, 0)
    found = tl.sum(found * weight[:, None], 0) / tl.where(whole == 0.0, 1.0, whole)
    tl.store(out + at.to(tl.int64) * VALUE_DIM + v_dim, found.to(out.dtype.element_ty), mask=v_dim < VALUE_DIM)
