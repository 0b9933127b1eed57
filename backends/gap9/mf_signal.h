/* mf_signal: from raw samples to the window that the network takes: filters, a ring of samples, scaling.
 * Integers only; docs/gap9.md specifies every step. Meant for the controller core: a sample costs some hundred cycles. */
#ifndef MF_SIGNAL_H
#define MF_SIGNAL_H

#include <stdint.h>

#define MF_SIGNAL_LIMIT (1 << 27) /* samples and what filters make of them stay within +- this */

/* One second-order section of one channel: the last two inputs and outputs, and what rounding has left over. */
typedef struct {
    int64_t rest;
    int32_t x1, x2, y1, y2;
} mf_section;

/* (section, 6): b0, b1, b2, -a1, -a2 and the gain for a constant, all times 2^shift. */
int32_t mf_filter(const int32_t (*sections)[6], int32_t count, int32_t shift, mf_section *state, int32_t x);
void mf_settle(const int32_t (*sections)[6], int32_t count, int32_t shift, mf_section *state, int32_t first);

/* `count` samples at `x` (and, for several channels at once, those behind them) to int8. */
void mf_scale_affine(int8_t *y, const int16_t *x, int32_t count, int32_t mult, int64_t offset, int32_t shift);
void mf_scale_zscore(int8_t *y, const int16_t *x, int32_t count, int32_t gain, int32_t shift);
void mf_scale_minmax(int8_t *y, const int16_t *x, int32_t count, int32_t gain, int32_t shift);

#endif
