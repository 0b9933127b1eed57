/* What all kernels are made of: products of four rows by four columns of 8-bit numbers, requantisation, clips.
 *
 * In three forms with the same results: portable C; XpulpV2 instructions by .insn, for any RISC-V assembler
 * (-DMF_XPULP); the vendor SDK's builtins (-DMF_SDK). */
#ifndef MF_MICRO_H
#define MF_MICRO_H

#include "mf.h"

/* y[r * across + o] = start[o] + sum over k of x[r * step + k] * w[o * stride + k], for r and o from 0 to 3.
 * mf_dots.c, or mf_dots.S for XpulpV2. */
void mf_dots(const int8_t *x, int32_t step, const int8_t *w, int32_t stride, int32_t taps, const int32_t *start, int32_t *y,
             int32_t across);
void mf_dotsu(const uint8_t *x, int32_t step, const int8_t *w, int32_t stride, int32_t taps, const int32_t *start,
              int32_t *y, int32_t across);

/* One product, for what is left at the edges. */
static inline int32_t mf_dot(const int8_t *x, const int8_t *w, int32_t n)
{
    int32_t sum = 0;
    for (int32_t k = 0; k < n; k++)
        sum += x[k] * w[k];
    return sum;
}

static inline int32_t mf_dotu(const uint8_t *x, const int8_t *w, int32_t n)
{
    int32_t sum = 0;
    for (int32_t k = 0; k < n; k++)
        sum += x[k] * w[k];
    return sum;
}

static inline int32_t mf_least(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

/* A core's share of `count` equal pieces of work: from `first` to before `end`. */
static inline void mf_share(int32_t count, int core, int32_t *first, int32_t *end)
{
    *first = count * core / MF_CORES;
    *end = count * (core + 1) / MF_CORES;
}

static inline int32_t mf_clip(int32_t x, int32_t low, int32_t high)
{
    return x < low ? low : x > high ? high : x;
}

/* The cores' one-instruction clips to 8 and to 16 bits (p.clip), and the larger of two (p.max). */
#ifdef MF_XPULP
static inline int32_t mf_clip8(int32_t x)
{
    __asm__(".insn r 0x33, 1, 0x0a, %0, %1, x8" : "=r"(x) : "r"(x));
    return x;
}

static inline int32_t mf_clip16(int32_t x)
{
    __asm__(".insn r 0x33, 1, 0x0a, %0, %1, x16" : "=r"(x) : "r"(x));
    return x;
}

static inline int32_t mf_most(int32_t a, int32_t b)
{
    __asm__(".insn r 0x33, 6, 0x02, %0, %1, %2" : "=r"(a) : "r"(a), "r"(b));
    return a;
}

static inline uint32_t mf_leastu(uint32_t a, uint32_t b)
{
    __asm__(".insn r 0x33, 5, 0x02, %0, %1, %2" : "=r"(a) : "r"(a), "r"(b));
    return a;
}
#else
static inline int32_t mf_clip8(int32_t x)
{
    return mf_clip(x, -128, 127);
}

static inline int32_t mf_clip16(int32_t x)
{
    return mf_clip(x, -32768, 32767);
}

static inline int32_t mf_most(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

static inline uint32_t mf_leastu(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}
#endif

/* Adds two 16-bit numbers to *sum and their squares to *squares. */
static inline void mf_pair(const int16_t *x, int32_t *sum, uint64_t *squares)
{
#ifdef MF_XPULP /* pv.dotsp.h of the pair with itself, pv.sdotsp.h of it with ones */
    const int32_t pair = *(const int32_t *)(const void *)x, ones = 0x00010001;
    uint32_t both;
    __asm__(".insn r 0x57, 0, 0x4c, %0, %1, %1" : "=r"(both) : "r"(pair));
    __asm__(".insn r 0x57, 0, 0x5c, %0, %1, %2" : "+r"(*sum) : "r"(pair), "r"(ones));
    *squares += both;
#else
    *sum += x[0] + x[1];
    *squares += (uint32_t)(x[0] * x[0]) + (uint32_t)(x[1] * x[1]);
#endif
}

/* The upper word of a product. */
static inline int32_t mf_upper(int32_t a, int32_t b)
{
    return (int32_t)(((int64_t)a * b) >> 32);
}

/* The lower word of x >> shift, shift from 1 to 63: 64-bit shifts by a variable are slow on these cores. */
static inline int32_t mf_down(int64_t x, int32_t shift)
{
    const uint32_t low = (uint32_t)x;
    const int32_t high = (int32_t)(x >> 32);

    if (shift >= 32)
        return high >> (shift - 32);
    return (int32_t)(low >> shift | (uint32_t)high << 1 << (31 - shift));
}

/* (acc * mult + 2^(shift-1)) >> shift; the compiler of the network has made sure that it fits. Above 32 the lower word
 * of the product does not matter: half and whole are multiples of 2^32. */
static inline int32_t mf_requantise(int32_t acc, int32_t mult, int32_t shift)
{
    if (shift > 32)
        return (mf_upper(acc, mult) + (1 << (shift - 33))) >> (shift - 32);
    return mf_down((int64_t)acc * mult + (int64_t)(1u << (shift - 1)), shift);
}

/* floor(a / b) for a < 2^50, b < 2^26 and a quotient of 32 bits: a division by hand, six binary digits at a time,
 * because 64-bit divisions are hundreds of cycles here. */
static inline uint32_t mf_quotient(uint64_t a, uint32_t b)
{
    const uint32_t low = (uint32_t)a;
    uint32_t rest = (uint32_t)(a >> 18), found = rest / b;

    rest -= found * b;
    for (int32_t at = 12; at >= 0; at -= 6) {
        rest = rest << 6 | (low >> at & 63u);
        const uint32_t digit = rest / b;
        rest -= digit * b;
        found = found << 6 | digit;
    }
    return found;
}

#endif
