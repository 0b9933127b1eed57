/* Filters as sections in direct form I, whose rounding error is fed back, and scaling of windows. */
#include "mf_signal.h"

static int32_t within(int64_t x, int64_t limit)
{
    return (int32_t)(x > limit ? limit : x < -limit ? -limit : x);
}

static int8_t byte(int64_t x)
{
    return (int8_t)(x < -128 ? -128 : x > 127 ? 127 : x);
}

int32_t mf_filter(const int32_t (*sections)[6], int32_t count, int32_t shift, mf_section *state, int32_t x)
{
    x = within(x, MF_SIGNAL_LIMIT);
    for (int32_t i = 0; i < count; i++) {
        const int32_t *c = sections[i];
        mf_section *s = &state[i];
        const int64_t sum = (int64_t)c[0] * x + (int64_t)c[1] * s->x1 + (int64_t)c[2] * s->x2 + (int64_t)c[3] * s->y1 +
                            (int64_t)c[4] * s->y2 + s->rest;
        const int64_t whole = sum >> shift;
        const int32_t y = within(whole, MF_SIGNAL_LIMIT);
        s->rest = y == whole ? sum - whole * ((int64_t)1 << shift) : 0;
        s->x2 = s->x1;
        s->x1 = x;
        s->y2 = s->y1;
        s->y1 = y;
        x = y;
    }
    return x;
}

/* The state after a constant signal of this value for ever. */
void mf_settle(const int32_t (*sections)[6], int32_t count, int32_t shift, mf_section *state, int32_t first)
{
    int32_t x = within(first, MF_SIGNAL_LIMIT);

    for (int32_t i = 0; i < count; i++) {
        state[i].x1 = state[i].x2 = x;
        x = within(((int64_t)sections[i][5] * x + ((int64_t)1 << (shift - 1))) >> shift, MF_SIGNAL_LIMIT);
        state[i].y1 = state[i].y2 = x;
        state[i].rest = 0;
    }
}

void mf_scale_affine(int8_t *y, const int16_t *x, int32_t count, int32_t mult, int64_t offset, int32_t shift)
{
    for (int32_t i = 0; i < count; i++)
        y[i] = byte(((int64_t)x[i] * mult + offset) >> shift);
}

static uint32_t root(uint64_t x)
{
    uint64_t found = 0;

    for (uint64_t bit = (uint64_t)1 << 60; bit; bit >>= 2) {
        if (x >= found + bit) {
            x -= found + bit;
            found = (found >> 1) + bit;
        } else {
            found >>= 1;
        }
    }
    return (uint32_t)found;
}

void mf_scale_zscore(int8_t *y, const int16_t *x, int32_t count, int32_t gain, int32_t shift)
{
    int64_t sum = 0, squares = 0;
    int32_t lift = 0;

    for (int32_t i = 0; i < count; i++) {
        sum += x[i];
        squares += x[i] * x[i];
    }
    uint64_t power = (uint64_t)(count * squares - sum * sum); /* count^2 times the variance */
    if (power == 0) {
        for (int32_t i = 0; i < count; i++)
            y[i] = 0;
        return;
    }
    while (power < (uint64_t)1 << 60) {
        power <<= 2;
        lift++;
    }
    const int64_t over = (int64_t)(((uint64_t)1 << 61) / root(power)), half = (int64_t)1 << (48 - lift);
    for (int32_t i = 0; i < count; i++) {
        const int64_t n = (((int64_t)count * x[i] - sum) * over + half) >> (49 - lift);
        y[i] = byte((n * gain + ((int64_t)1 << (shift - 1))) >> shift);
    }
}

void mf_scale_minmax(int8_t *y, const int16_t *x, int32_t count, int32_t gain, int32_t shift)
{
    int32_t low = x[0], high = x[0];

    for (int32_t i = 1; i < count; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    const int64_t over = high > low ? ((int64_t)1 << 30) / (high - low) : 0;
    for (int32_t i = 0; i < count; i++) {
        const int64_t n = ((2 * x[i] - low - high) * over + (1 << 17)) >> 18;
        y[i] = byte((n * gain + ((int64_t)1 << (shift - 1))) >> shift);
    }
}
