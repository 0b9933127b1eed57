/* Matrix products of int8 with four epilogues: tiles of weights by tiles of rows, both in two buffers. */
#include "mf_micro.h"

#define ALIGN(n) (((uint32_t)(n) + 7u) & ~7u)

/* One tile: its place in the whole, and its copies in L1. */
typedef struct {
    int32_t row, rows, col, cols;
    const int8_t *x, *w;
    const int32_t *bias, *mult;
    const int16_t *other;
    void *y;
} tile;

typedef struct {
    const mf_linear *layer;
    const int8_t *table;
    const int16_t *turn;
    const tile *now;
} work;

static int32_t least(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static int32_t element(const mf_linear *l)
{
    return l->epilogue == MF_INT32 ? 4 : l->epilogue == MF_INT16 ? 2 : 1;
}

/* Where a row's values go, and what is added to or turned by. */
typedef struct {
    int32_t at, across;
    const int16_t *other, *turn;
} place;

static place place_of(const work *p, int32_t r)
{
    const mf_linear *l = p->layer;
    const tile *t = p->now;
    place to = {r * t->cols, 1, NULL, NULL};

    if (l->transposed)
        to.at = r, to.across = t->rows;
    if (t->other)
        to.other = t->other + r * t->cols;
    if (l->epilogue == MF_ROTARY)
        to.turn = p->turn + (t->row + r) % l->period * l->out + t->col;
    return to;
}

/* Requantised values of one row, columns n .. n + count - 1 of the tile, to where they belong. */
static inline __attribute__((always_inline)) void store(const work *p, const place *to, int32_t n, int32_t count,
                                                        const int32_t *acc)
{
    const mf_linear *l = p->layer;
    const int32_t *bias = p->now->bias + n, *mult = p->now->mult + n;
    const int32_t across = to->across, at = to->at + n * across, shift = l->shift, zero = l->zero;
    int8_t *bytes = (int8_t *)p->now->y + at;
    int16_t *halves = (int16_t *)p->now->y + at;
    int32_t v[4];

    for (int32_t i = 0; i < count; i++)
        v[i] = mf_requantise(acc[i] + bias[i], mult[i], shift);
    switch (l->epilogue) {
    case MF_INT8:
        for (int32_t i = 0; i < count; i++)
            bytes[i * across] = (int8_t)mf_clip8(v[i] + zero);
        break;
    case MF_TABLE:
        for (int32_t i = 0; i < count; i++)
            bytes[i * across] = p->table[mf_clip8(v[i] + zero) + 128];
        break;
    case MF_ROTARY: {
        const int16_t *angle = to->turn + n;
        for (int32_t i = 0; i + 1 < count; i += 2) {
            const int32_t a = mf_clip16(v[i]), b = mf_clip16(v[i + 1]);
            const int32_t cosine = angle[i], sine = angle[i + 1], half = 1 << 21;
            bytes[i * across] = (int8_t)mf_clip8((a * cosine - b * sine + half) >> 22);
            bytes[(i + 1) * across] = (int8_t)mf_clip8((a * sine + b * cosine + half) >> 22);
        }
        break;
    }
    case MF_INT16:
        if (to->other)
            for (int32_t i = 0; i < count; i++)
                halves[i * across] = (int16_t)mf_clip16(to->other[n + i] + mf_clip(v[i], -65536, 65536));
        else
            for (int32_t i = 0; i < count; i++)
                halves[i * across] = (int16_t)mf_clip16(v[i]);
        break;
    case MF_INT32:
        for (int32_t i = 0; i < count; i++)
            ((int32_t *)p->now->y)[at + i * across] = v[i];
        break;
    }
}

/* Pairs of rows go round the cores; columns by fours. */
static void multiply(void *argument, int core)
{
    const work *p = argument;
    const mf_linear *l = p->layer;
    const tile *t = p->now;
    const int32_t taps = l->taps, whole = t->cols & ~3;

    for (int32_t r = 2 * core; r < t->rows; r += 2 * MF_CORES) {
        const int32_t second = r + 1 < t->rows;
        const int8_t *x0 = t->x + r * l->step, *x1 = second ? x0 + l->step : x0, *w = t->w;
        const place here = place_of(p, r), below = second ? place_of(p, r + 1) : here;
        int32_t acc[8];

        for (int32_t n = 0; n < whole; n += 4, w += 4 * taps) {
            mf_block(x0, x1, w, taps, taps, acc);
            store(p, &here, n, 4, acc);
            if (second)
                store(p, &below, n, 4, acc + 4);
        }
        if (whole < t->cols) {
            const int32_t count = t->cols - whole;
            for (int32_t i = 0; i < count; i++) {
                acc[i] = mf_dot(x0, w + i * taps, taps);
                acc[4 + i] = mf_dot(x1, w + i * taps, taps);
            }
            store(p, &here, whole, count, acc);
            if (second)
                store(p, &below, whole, count, acc + 4);
        }
    }
}

/* The number-th tile, its buffers laid out from `l1` on, one half for even tiles and one for odd. */
static tile nth(const mf_linear *l, int32_t number, uint8_t *l1, int32_t has_other)
{
    const int32_t down = (l->rows + l->tile_rows - 1) / l->tile_rows;
    const int32_t size = element(l), half = number & 1, turn = number / down & 1;
    const uint32_t xs = ALIGN((l->tile_rows - 1) * l->step + l->taps), ys = ALIGN(l->tile_rows * l->tile_out * size);
    const uint32_t os = has_other ? ALIGN(l->tile_rows * l->tile_out * 2) : 0;
    const uint32_t ws = ALIGN(l->tile_out * l->taps), bs = ALIGN(l->tile_out * 4);
    uint8_t *moving = l1 + (uint32_t)half * (xs + ys + os);
    uint8_t *kept = l1 + 2 * (xs + ys + os) + (uint32_t)turn * (ws + 2 * bs);
    tile t;

    t.row = number % down * l->tile_rows;
    t.rows = least(l->tile_rows, l->rows - t.row);
    t.col = number / down * l->tile_out;
    t.cols = least(l->tile_out, l->out - t.col);
    t.x = (int8_t *)moving;
    t.y = moving + xs;
    t.other = has_other ? (int16_t *)(moving + xs + ys) : NULL;
    t.w = (int8_t *)kept;
    t.bias = (int32_t *)(kept + ws);
    t.mult = (int32_t *)(kept + ws + bs);
    return t;
}

static void fetch(const mf_linear *l, const tile *t, const uint8_t *slot, const int8_t *x, const int16_t *other)
{
    const uint8_t *bias = slot + ALIGN(l->out * l->taps), *mult = bias + ALIGN(4 * l->out);

    mf_dma_in((void *)t->x, x + t->row * l->step, (uint32_t)((t->rows - 1) * l->step + l->taps), 1, 0);
    if (t->other)
        mf_dma_in((void *)t->other, other + t->row * l->out + t->col, (uint32_t)t->cols * 2, (uint32_t)t->rows,
                  (uint32_t)l->out * 2);
    if (t->row == 0) { /* another tile of weights begins */
        mf_dma_in((void *)t->w, slot + t->col * l->taps, (uint32_t)(t->cols * l->taps), 1, 0);
        mf_dma_in((void *)t->bias, bias + 4 * t->col, (uint32_t)t->cols * 4, 1, 0);
        mf_dma_in((void *)t->mult, mult + 4 * t->col, (uint32_t)t->cols * 4, 1, 0);
    }
}

static void send(const mf_linear *l, const tile *t, uint8_t *y)
{
    const int32_t size = element(l);

    if (l->transposed)
        mf_dma_out(y + (t->col * l->rows + t->row) * size, t->y, (uint32_t)(t->rows * size), (uint32_t)t->cols,
                   (uint32_t)(l->rows * size));
    else
        mf_dma_out(y + (t->row * l->out + t->col) * size, t->y, (uint32_t)(t->cols * size), (uint32_t)t->rows,
                   (uint32_t)(l->out * size));
}

void mf_run_linear(const mf_linear *layer, const uint8_t *slot, const int8_t *x, const int16_t *other, void *y)
{
    const mf_linear *l = layer;
    const int32_t down = (l->rows + l->tile_rows - 1) / l->tile_rows;
    const int32_t count = down * ((l->out + l->tile_out - 1) / l->tile_out);
    const uint8_t *extra = slot + ALIGN(l->out * l->taps) + 2 * ALIGN(4 * l->out);
    const uint32_t extra_bytes = l->epilogue == MF_TABLE    ? 256
                                 : l->epilogue == MF_ROTARY ? ALIGN(l->period * l->out * 2)
                                                            : 0;
    uint8_t *l1 = mf_l1 + extra_bytes;
    tile now = nth(l, 0, l1, other != NULL), before = now, next;
    work p = {l, (const int8_t *)mf_l1, (const int16_t *)(void *)mf_l1, &now};

    if (extra_bytes)
        mf_dma_in(mf_l1, extra, extra_bytes, 1, 0);
    fetch(l, &now, slot, x, other);
    for (int32_t i = 0; i < count; i++) {
        mf_dma_wait();
        if (i > 0)
            send(l, &before, y);
        if (i + 1 < count) {
            next = nth(l, i + 1, l1, other != NULL);
            fetch(l, &next, slot, x, other);
        }
        mf_fork(multiply, &p);
        before = now;
        if (i + 1 < count)
            now = next;
    }
    mf_dma_wait();
    send(l, &before, y);
    mf_dma_wait();
}
