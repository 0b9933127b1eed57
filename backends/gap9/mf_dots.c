/* mf_dots and mf_dotsu in C: portable, or with the vendor SDK's builtins. The XpulpV2 form is mf_dots.S. */
#include "mf_micro.h"

#if defined(MF_SDK)

typedef signed char word __attribute__((vector_size(4)));
typedef unsigned char uword __attribute__((vector_size(4)));

/* Words from a row that may begin anywhere; the last one to three values one by one. */
#define DOTS(NAME, TYPE, WORD, DOT, SCALAR)                                                                            \
    void NAME(const TYPE *x, int32_t step, const int8_t *w, int32_t stride, int32_t taps, const int32_t *start,        \
              int32_t *y, int32_t across)                                                                              \
    {                                                                                                                  \
        const int32_t whole = taps & ~3, rest = taps & 3;                                                              \
        int32_t sum[4][4];                                                                                             \
        for (int32_t r = 0; r < 4; r++)                                                                                \
            for (int32_t o = 0; o < 4; o++)                                                                            \
                sum[r][o] = start[o] + SCALAR(x + r * step + whole, w + o * stride + whole, rest);                     \
        for (int32_t k = 0; k < whole; k += 4) {                                                                       \
            WORD rows[4];                                                                                              \
            for (int32_t r = 0; r < 4; r++)                                                                            \
                rows[r] = *(const WORD *)(x + r * step + k);                                                           \
            for (int32_t o = 0; o < 4; o++) {                                                                          \
                const word column = *(const word *)(w + o * stride + k);                                               \
                for (int32_t r = 0; r < 4; r++)                                                                        \
                    sum[r][o] = DOT(rows[r], column, sum[r][o]);                                                       \
            }                                                                                                          \
        }                                                                                                              \
        for (int32_t r = 0; r < 4; r++)                                                                                \
            for (int32_t o = 0; o < 4; o++)                                                                            \
                y[r * across + o] = sum[r][o];                                                                         \
    }

DOTS(mf_dots, int8_t, word, __builtin_pulp_sdotsp4, mf_dot)
DOTS(mf_dotsu, uint8_t, uword, __builtin_pulp_sdotusp4, mf_dotu)

#elif !defined(MF_XPULP)

void mf_dots(const int8_t *x, int32_t step, const int8_t *w, int32_t stride, int32_t taps, const int32_t *start, int32_t *y,
             int32_t across)
{
    for (int32_t r = 0; r < 4; r++)
        for (int32_t o = 0; o < 4; o++)
            y[r * across + o] = start[o] + mf_dot(x + r * step, w + o * stride, taps);
}

void mf_dotsu(const uint8_t *x, int32_t step, const int8_t *w, int32_t stride, int32_t taps, const int32_t *start,
              int32_t *y, int32_t across)
{
    for (int32_t r = 0; r < 4; r++)
        for (int32_t o = 0; o < 4; o++)
            y[r * across + o] = start[o] + mf_dotu(x + r * step, w + o * stride, taps);
}

#endif
