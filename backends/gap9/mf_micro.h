/* The innermost loops: products of 2 rows by 4 columns of 8-bit numbers, in three forms with the same results.
 *
 * Portable C; XpulpV2 instructions by .insn, for any RISC-V assembler (-DMF_XPULP); the vendor SDK's builtins
 * (-DMF_SDK).  acc[0..3] is row 0, acc[4..7] row 1; column o starts at w + o * stride. */
#ifndef MF_MICRO_H
#define MF_MICRO_H

#include "mf.h"

static inline int32_t mf_clip(int32_t x, int32_t low, int32_t high)
{
    return x < low ? low : x > high ? high : x;
}

/* The cores' one-instruction clip (p.clip) to 8 and to 16 bits. */
#ifdef MF_XPULP
static inline int32_t mf_clip8(int32_t x)
{
    __asm__(".insn r 0x33, 1, 0x0a, %0, %0, x8" : "+r"(x));
    return x;
}

static inline int32_t mf_clip16(int32_t x)
{
    __asm__(".insn r 0x33, 1, 0x0a, %0, %0, x16" : "+r"(x));
    return x;
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
#endif

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
    const int64_t product = (int64_t)acc * mult;

    if (shift > 32)
        return ((int32_t)(product >> 32) + (1 << (shift - 33))) >> (shift - 32);
    return mf_down(product + (int64_t)(1u << (shift - 1)), shift);
}

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

#if defined(MF_XPULP) || defined(MF_SDK)

#if defined(MF_XPULP)
/* p.lw rd, 4(rs1!) loads a word and steps; pv.sdotsp.b and pv.sdotusp.b add four products to acc */
#define MF_SDOT "0x5c"
#define MF_SDOTU "0x54"
typedef int32_t mf_word;
typedef int32_t mf_uword;
#else
typedef signed char mf_word __attribute__((vector_size(4)));
typedef unsigned char mf_uword __attribute__((vector_size(4)));
#define MF_SDOT(acc, a, b) ((acc) = __builtin_pulp_sdotsp4((a), (b), (acc)))
#define MF_SDOTU(acc, a, b) ((acc) = __builtin_pulp_sdotusp4((a), (b), (acc)))
#define MF_NEXT(word, at) ((word) = *(const __typeof__(word) *)(at), (at) += 4)
#endif

#if defined(MF_XPULP)
/* lp.setup: the 14 instructions behind it `n` times, without a branch; 32 products in 14 cycles. The words pass
 * through fixed registers: an asm statement may name 30 operands. */
#define MF_TURN(DOT, WORD, n)                                                                                                \
    __asm__ volatile(".option push\n.option norvc\n"                                                                   \
                     ".insn i 0x7b, 4, x0, %[count], 28\n"                                                             \
                     ".insn i 0x0b, 2, t0, 4(%[x0])\n"                                                                 \
                     ".insn i 0x0b, 2, t1, 4(%[x1])\n"                                                                 \
                     ".insn i 0x0b, 2, t2, 4(%[w0])\n"                                                                 \
                     ".insn i 0x0b, 2, t3, 4(%[w1])\n"                                                                 \
                     ".insn i 0x0b, 2, t4, 4(%[w2])\n"                                                                 \
                     ".insn i 0x0b, 2, t5, 4(%[w3])\n"                                                                 \
                     ".insn r 0x57, 1, " DOT ", %[a0], t0, t2\n"                                                       \
                     ".insn r 0x57, 1, " DOT ", %[a1], t0, t3\n"                                                       \
                     ".insn r 0x57, 1, " DOT ", %[a2], t0, t4\n"                                                       \
                     ".insn r 0x57, 1, " DOT ", %[a3], t0, t5\n"                                                       \
                     ".insn r 0x57, 1, " DOT ", %[b0], t1, t2\n"                                                       \
                     ".insn r 0x57, 1, " DOT ", %[b1], t1, t3\n"                                                       \
                     ".insn r 0x57, 1, " DOT ", %[b2], t1, t4\n"                                                       \
                     ".insn r 0x57, 1, " DOT ", %[b3], t1, t5\n"                                                       \
                     ".option pop"                                                                                     \
                     : [x0] "+r"(x0), [x1] "+r"(x1), [w0] "+r"(w0), [w1] "+r"(w1), [w2] "+r"(w2), [w3] "+r"(w3),       \
                       [a0] "+r"(a0), [a1] "+r"(a1), [a2] "+r"(a2), [a3] "+r"(a3), [b0] "+r"(b0), [b1] "+r"(b1),       \
                       [b2] "+r"(b2), [b3] "+r"(b3)                                                                    \
                     : [count] "r"(n)                                                                                  \
                     : "t0", "t1", "t2", "t3", "t4", "t5", "memory")
#else
#define MF_TURN(DOT, WORD, n)                                                                                                \
    for (int32_t k = (n); k > 0; k--) {                                                                                \
        WORD p, q;                                                                                                      \
        mf_word c0, c1, c2, c3;                                                                                        \
        MF_NEXT(p, x0);                                                                                                \
        MF_NEXT(q, x1);                                                                                                \
        MF_NEXT(c0, w0);                                                                                               \
        MF_NEXT(c1, w1);                                                                                               \
        MF_NEXT(c2, w2);                                                                                               \
        MF_NEXT(c3, w3);                                                                                               \
        DOT(a0, p, c0);                                                                                                \
        DOT(a1, p, c1);                                                                                                \
        DOT(a2, p, c2);                                                                                                \
        DOT(a3, p, c3);                                                                                                \
        DOT(b0, q, c0);                                                                                                \
        DOT(b1, q, c1);                                                                                                \
        DOT(b2, q, c2);                                                                                                \
        DOT(b3, q, c3);                                                                                                \
    }
#endif

#define MF_BLOCK(NAME, SCALAR, DOT, TYPE, WORD)                                                                        \
    static inline void NAME(const TYPE *x0, const TYPE *x1, const int8_t *w, int32_t stride, int32_t n, int32_t *acc)  \
    {                                                                                                                  \
        const int8_t *w0 = w, *w1 = w + stride, *w2 = w + 2 * stride, *w3 = w + 3 * stride;                            \
        int32_t a0 = 0, a1 = 0, a2 = 0, a3 = 0, b0 = 0, b1 = 0, b2 = 0, b3 = 0;                                        \
        const int32_t words = n >> 2;                                                                                  \
        if (words > 0)                                                                                                 \
            MF_TURN(DOT, WORD, words);                                                                                       \
        n &= 3;                                                                                                        \
        acc[0] = a0 + SCALAR(x0, w0, n), acc[1] = a1 + SCALAR(x0, w1, n);                                              \
        acc[2] = a2 + SCALAR(x0, w2, n), acc[3] = a3 + SCALAR(x0, w3, n);                                              \
        acc[4] = b0 + SCALAR(x1, w0, n), acc[5] = b1 + SCALAR(x1, w1, n);                                              \
        acc[6] = b2 + SCALAR(x1, w2, n), acc[7] = b3 + SCALAR(x1, w3, n);                                              \
    }

MF_BLOCK(mf_block, mf_dot, MF_SDOT, int8_t, mf_word)
MF_BLOCK(mf_blocku, mf_dotu, MF_SDOTU, uint8_t, mf_uword)

#else

static inline void mf_block(const int8_t *x0, const int8_t *x1, const int8_t *w, int32_t stride, int32_t n, int32_t *acc)
{
    for (int32_t o = 0; o < 4; o++) {
        acc[o] = mf_dot(x0, w + o * stride, n);
        acc[4 + o] = mf_dot(x1, w + o * stride, n);
    }
}

static inline void mf_blocku(const uint8_t *x0, const uint8_t *x1, const int8_t *w, int32_t stride, int32_t n,
                             int32_t *acc)
{
    for (int32_t o = 0; o < 4; o++) {
        acc[o] = mf_dotu(x0, w + o * stride, n);
        acc[4 + o] = mf_dotu(x1, w + o * stride, n);
    }
}

#endif
#endif
