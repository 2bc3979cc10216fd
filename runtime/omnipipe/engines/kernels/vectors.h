// Sixteen floats at a time: one register where there are such (AVX-512), else a few of those there are. The compiler does
// not do that by itself: it makes single floats of vectors that are longer than a register.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace omnipipe {

#ifdef __AVX512F__
constexpr int PART = 16;
#elif defined(__AVX2__)
constexpr int PART = 8;
#else
constexpr int PART = 4;
#endif
constexpr int PARTS = 16 / PART;
constexpr int VECTORS = PART == 16 ? 32 : 8; // that the registers hold (16 of AVX2, 32 of NEON)

typedef float part __attribute__((vector_size(PART * 4), aligned(PART * 4)));
typedef float part_anywhere __attribute__((vector_size(PART * 4), aligned(4)));
typedef int ipart __attribute__((vector_size(PART * 4), aligned(PART * 4)));

#define OMNIPIPE_EACH _Pragma("GCC unroll 4") for (int i = 0; i < PARTS; i++)
#define OMNIPIPE_INLINE inline __attribute__((always_inline))

// Of a comparison.
struct mask {
  ipart of[PARTS];
};

struct vec {
  part of[PARTS];

  OMNIPIPE_INLINE float operator[](int lane) const { return of[lane / PART][lane % PART]; }
  OMNIPIPE_INLINE void set(int lane, float x) { of[lane / PART][lane % PART] = x; }
};

OMNIPIPE_INLINE vec load(const float* from) {
  vec x;
  OMNIPIPE_EACH x.of[i] = *(const part_anywhere*)(from + i * PART);
  return x;
}
OMNIPIPE_INLINE void store(float* to, vec x) { OMNIPIPE_EACH *(part_anywhere*)(to + i * PART) = x.of[i]; }
OMNIPIPE_INLINE vec splat(float x) {
  vec y;
  OMNIPIPE_EACH y.of[i] = part{} + x;
  return y;
}

#define OMNIPIPE_OPERATOR(op)                                                                                          \
  OMNIPIPE_INLINE vec operator op(vec a, vec b) {                                                                      \
    OMNIPIPE_EACH a.of[i] = a.of[i] op b.of[i];                                                                        \
    return a;                                                                                                          \
  }                                                                                                                    \
  OMNIPIPE_INLINE vec operator op(vec a, float b) {                                                                    \
    OMNIPIPE_EACH a.of[i] = a.of[i] op b;                                                                              \
    return a;                                                                                                          \
  }                                                                                                                    \
  OMNIPIPE_INLINE vec operator op(float a, vec b) {                                                                    \
    OMNIPIPE_EACH b.of[i] = a op b.of[i];                                                                              \
    return b;                                                                                                          \
  }                                                                                                                    \
  OMNIPIPE_INLINE vec& operator op##=(vec& a, vec b) { return a = a op b; }                                            \
  OMNIPIPE_INLINE vec& operator op##=(vec& a, float b) { return a = a op b; }
OMNIPIPE_OPERATOR(+)
OMNIPIPE_OPERATOR(-)
OMNIPIPE_OPERATOR(*)
OMNIPIPE_OPERATOR(/)
#undef OMNIPIPE_OPERATOR

OMNIPIPE_INLINE vec operator-(vec x) {
  OMNIPIPE_EACH x.of[i] = -x.of[i];
  return x;
}
OMNIPIPE_INLINE mask operator<(vec a, vec b) {
  mask found;
  OMNIPIPE_EACH found.of[i] = a.of[i] < b.of[i];
  return found;
}
OMNIPIPE_INLINE mask operator<(vec a, float b) { return a < splat(b); }
// `where ? a : b`, lane by lane.
OMNIPIPE_INLINE vec choose(mask where, vec a, vec b) {
  OMNIPIPE_EACH a.of[i] = where.of[i] ? a.of[i] : b.of[i];
  return a;
}
OMNIPIPE_INLINE vec larger(vec a, vec b) { return choose(b < a, a, b); }

OMNIPIPE_INLINE float sum_of(vec x) {
  float total = 0;
  for (int lane = 0; lane < 16; lane++) total += x[lane];
  return total;
}
OMNIPIPE_INLINE float largest_of(vec x) {
  float most = x[0];
  for (int lane = 1; lane < 16; lane++) most = x[lane] > most ? x[lane] : most;
  return most;
}

// e^x for x <= 0, to about one unit in the last place.
OMNIPIPE_INLINE vec exp_negative(vec x) {
  OMNIPIPE_EACH {
    part a = x.of[i];
    const part lowest = part{} - 87.f;
    a = a < lowest ? lowest : a;
    const ipart n = __builtin_convertvector(a * 1.44269504f - 0.5f, ipart);
    const part whole = __builtin_convertvector(n, part);
    const part f = a - whole * 0.693359375f + whole * 2.12194440e-4f;
    part y = part{} + 1.9875691500e-4f;
    y = y * f + 1.3981999507e-3f;
    y = y * f + 8.3334519073e-3f;
    y = y * f + 4.1665795894e-2f;
    y = y * f + 1.6666665459e-1f;
    y = y * f + 5.0000001201e-1f;
    y = y * f * f + f + 1.0f;
    x.of[i] = y * (part)((n + 127) << 23);
  }
  return x;
}

// x / (1 + e^-x)
OMNIPIPE_INLINE vec silu(vec x) {
  const mask below = x < 0.0f;
  const vec e = exp_negative(choose(below, x, -x)), whole = 1.0f / (1.0f + e);
  return x * choose(below, e * whole, whole);
}

// The tanh form of GELU.
OMNIPIPE_INLINE vec gelu_tanh(vec x) {
  const vec u = 1.5957691216f * (x + 0.044715f * x * x * x);
  const mask below = u < 0.0f;
  const vec e = exp_negative(choose(below, u, -u)), whole = 1.0f / (1.0f + e);
  return x * choose(below, e * whole, whole);
}

} // namespace omnipipe
