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

/* Requantised values of one row, columns n .. n + count - 1 of the tile, to where they belong. */
static void store(const work *p, int32_t r, int32_t n, int32_t count, const int32_t *acc)
{
    const mf_linear *l = p->layer;
    const tile *t = p->now;
    const int32_t across = l->transposed ? t->rows : 1;
    const int32_t at = l->transposed ? n * t->rows + r : r * t->cols + n;
    int32_t v[4];

    for (int32_t i = 0; i < count; i++)
        v[i] = mf_requantise(acc[i] + t->bias[n + i], t->mult[n + i], l->shift);
    switch (l->epilogue) {
    case MF_INT8:
        for (int32_t i = 0; i < count; i++)
            ((int8_t *)t->y)[at + i * across] = (int8_t)mf_clip(v[i] + l->zero, -128, 127);
        break;
    case MF_TABLE:
        for (int32_t i = 0; i < count; i++)
            ((int8_t *)t->y)[at + i * across] = p->table[mf_clip(v[i] + l->zero, -128, 127) + 128];
        break;
    case MF_ROTARY: {
        const int16_t *angle = p->turn + (t->row + r) % l->period * l->out + t->col + n;
        for (int32_t i = 0; i < count; i += 2) {
            const int32_t a = mf_clip(v[i], -32768, 32767), b = mf_clip(v[i + 1], -32768, 32767);
            const int32_t cosine = angle[i], sine = angle[i + 1], half = 1 << 21;
            ((int8_t *)t->y)[at + i * across] = (int8_t)mf_clip((a * cosine - b * sine + half) >> 22, -128, 127);
            ((int8_t *)t->y)[at + (i + 1) * across] = (int8_t)mf_clip((a * sine + b * cosine + half) >> 22, -128, 127);
        }
        break;
    }
    case MF_INT16:
        for (int32_t i = 0; i < count; i++) {
            const int32_t before = t->other ? t->other[r * t->cols + n + i] : 0;
            ((int16_t *)t->y)[at + i * across] =
                (int16_t)mf_clip(before + mf_clip(v[i], -65536, 65536), -32768, 32767);
        }
        break;
    case MF_INT32:
        for (int32_t i = 0; i < count; i++)
            ((int32_t *)t->y)[at + i * across] = v[i];
        break;
    }
}

/* Pairs of rows go round the cores; columns by fours. */
static void multiply(void *argument, int core)
{
    const work *p = argument;
    const mf_linear *l = p->layer;
    const tile *t = p->now;

    for (int32_t r = 2 * core; r < t->rows; r += 2 * MF_CORES) {
        const int32_t second = r + 1 < t->rows;
        const int8_t *x0 = t->x + r * l->step, *x1 = second ? x0 + l->step : x0;
        for (int32_t n = 0; n < t->cols; n += 4) {
            const int8_t *w = t->w + n * l->taps;
            const int32_t count = least(4, t->cols - n);
            int32_t acc[8];
            if (count == 4)
                mf_block(x0, x1, w, l->taps, l->taps, acc);
            else
                for (int32_t i = 0; i < count; i++) {
                    acc[i] = mf_dot(x0, w + i * l->taps, l->taps);
                    acc[4 + i] = mf_dot(x1, w + i * l->taps, l->taps);
                }
            store(p, r, n, count, acc);
            if (second)
                store(p, r + 1, n, count, acc + 4);
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
