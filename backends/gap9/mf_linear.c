/* Matrix products of int8 with several epilogues: tiles of weights by tiles of rows, both in two buffers. */
#include "mf_micro.h"

#define ALIGN(n) (((uint32_t)(n) + 7u) & ~7u)
#define WIDEST 22 /* bits: a zero of 8 more fits beside the upper word of a product */

/* One tile: its place in the whole, and its copies in L1. */
typedef struct {
    int32_t row, rows, col, cols;
    const int8_t *x, *w;
    const int32_t *bias, *mult;
    const int16_t *other;
    void *y;
} tile;

/* On the controller's stack, near the cores; the layer itself is a constant in L2. */
typedef struct {
    mf_linear layer;
    const int8_t *table;
    const int16_t *turn;
    tile now;
} work;

/* A block of four rows by four columns of a tile and what its finisher needs at hand: the place, how to requantise,
 * and the width of the tile. Not in `work`, whose fields would be read again behind every byte written. */
typedef struct {
    int32_t row, col;
    int32_t lead, down, half; /* half of the unit that goes, and `zero` units */
    int32_t across;
} block;

static int32_t element(const mf_linear *l)
{
    return l->epilogue == MF_INT32 ? 4 : l->epilogue == MF_INT16 ? 2 : 1;
}

/* The angles of a tile's row, from column `col` on. */
static const int16_t *angles(const work *p, int32_t row, int32_t col)
{
    return p->turn + (p->now.row + row) % p->layer.period * p->layer.out + p->now.col + col;
}

static inline void turned(int32_t v, int32_t w, int32_t cosine, int32_t sine, int8_t *y)
{
    const int32_t a = mf_clip16(v), b = mf_clip16(w), half = 1 << 21;

    y[0] = (int8_t)mf_clip8((a * cosine - b * sine + half) >> 22);
    y[1] = (int8_t)mf_clip8((a * sine + b * cosine + half) >> 22);
}

/* Any layer, any number of values: the sums acc[0 .. count - 1] of a row to where they belong. For the edges. */
static void store(const work *p, int32_t row, int32_t col, int32_t count, const int32_t *acc)
{
    const mf_linear *l = &p->layer;
    const tile *t = &p->now;
    const int32_t across = l->transposed ? t->rows : 1, at = l->transposed ? col * t->rows + row : row * t->cols + col;
    int32_t v[4] = {0, 0, 0, 0};

    for (int32_t i = 0; i < count; i++) {
        int8_t *byte = (int8_t *)t->y + at + i * across;
        int16_t *half = (int16_t *)t->y + at + i * across;
        v[i] = mf_requantise(acc[i], t->mult[col + i], l->shift);
        if (l->epilogue == MF_INT8)
            *byte = (int8_t)mf_clip8(v[i] + l->zero);
        else if (l->epilogue == MF_TABLE)
            *byte = p->table[mf_clip8(v[i] + l->zero) + 128];
        else if (l->epilogue == MF_INT16)
            *half = (int16_t)mf_clip16(v[i] + (t->other ? t->other[row * t->cols + col + i] : 0));
        else if (l->epilogue == MF_INT32)
            ((int32_t *)t->y)[at + i * across] = v[i];
    }
    if (l->epilogue == MF_ROTARY)
        for (int32_t i = 0; i + 1 < count; i += 2) {
            const int16_t *angle = angles(p, row, col + i);
            turned(v[i], v[i + 1], angle[0], angle[1], (int8_t *)t->y + at + i);
        }
}

/* The finishers of whole blocks, where the upper word of a product is enough (`lead`): requantised, then stored. */
typedef void (*finisher)(const work *p, const block *b, const int32_t *acc);

#define FINISHER static inline __attribute__((always_inline)) void

/* Four, unknown to the compiler: rows stay a loop, for all of a block's code is to fit a core's cache of 512 bytes. */
static inline int32_t four(void)
{
    int32_t count = 4;
    __asm__("" : "+r"(count));
    return count;
}

FINISHER requantised(const block *b, const int32_t *acc, const int32_t *mult, int32_t *v)
{
    for (int32_t i = 0; i < 4; i++)
        v[i] = (mf_upper(acc[i], mult[i]) + b->half) >> b->down;
}

/* The same for results that are finer than a sum's unit over four. */
FINISHER lifted(const block *b, const int32_t *acc, const int32_t *mult, int32_t *v)
{
    int32_t up[4];

    for (int32_t i = 0; i < 4; i++)
        up[i] = (int32_t)((uint32_t)acc[i] << b->lead);
    requantised(b, up, mult, v);
}

FINISHER finish_int8(const work *p, const block *b, const int32_t *acc)
{
    const int32_t *m = p->now.mult + b->col, mult[4] = {m[0], m[1], m[2], m[3]};
    int8_t *y = (int8_t *)p->now.y + b->row * b->across + b->col;
    int32_t v[4];

    for (int32_t left = four(); left > 0; left--, acc += 4, y += b->across) {
        requantised(b, acc, mult, v);
        for (int32_t i = 0; i < 4; i++)
            y[i] = (int8_t)mf_clip8(v[i]);
    }
}

FINISHER finish_transposed(const work *p, const block *b, const int32_t *acc)
{
    const int32_t *m = p->now.mult + b->col, mult[4] = {m[0], m[1], m[2], m[3]}, across = p->now.rows;
    int8_t *y = (int8_t *)p->now.y + b->col * across + b->row;
    int32_t v[4];

    for (int32_t left = four(); left > 0; left--, acc += 4, y++) {
        requantised(b, acc, mult, v);
        for (int32_t i = 0; i < 4; i++)
            y[i * across] = (int8_t)mf_clip8(v[i]);
    }
}

FINISHER finish_table(const work *p, const block *b, const int32_t *acc)
{
    const int32_t *m = p->now.mult + b->col, mult[4] = {m[0], m[1], m[2], m[3]};
    const int8_t *table = p->table + 128;
    int8_t *y = (int8_t *)p->now.y + b->row * b->across + b->col;
    int32_t v[4];

    for (int32_t left = four(); left > 0; left--, acc += 4, y += b->across) {
        requantised(b, acc, mult, v);
        for (int32_t i = 0; i < 4; i++)
            v[i] = table[mf_clip8(v[i])];
        for (int32_t i = 0; i < 4; i++)
            y[i] = (int8_t)v[i];
    }
}

FINISHER finish_rotary(const work *p, const block *b, const int32_t *acc)
{
    const int32_t *m = p->now.mult + b->col, mult[4] = {m[0], m[1], m[2], m[3]};
    const int32_t period = p->layer.period, out = p->layer.out;
    int8_t *y = (int8_t *)p->now.y + b->row * b->across + b->col;
    int32_t at = (p->now.row + b->row) % period;
    int32_t v[4];

    for (int32_t left = four(); left > 0; left--, acc += 4, y += b->across) {
        const int16_t *angle = p->turn + at * out + p->now.col + b->col;
        lifted(b, acc, mult, v);
        turned(v[0], v[1], angle[0], angle[1], y);
        turned(v[2], v[3], angle[2], angle[3], y + 2);
        at = at + 1 == period ? 0 : at + 1;
    }
}

FINISHER finish_int16(const work *p, const block *b, const int32_t *acc)
{
    const int32_t *m = p->now.mult + b->col, mult[4] = {m[0], m[1], m[2], m[3]};
    int16_t *y = (int16_t *)p->now.y + b->row * b->across + b->col;
    int32_t v[4];

    for (int32_t left = four(); left > 0; left--, acc += 4, y += b->across) {
        lifted(b, acc, mult, v);
        for (int32_t i = 0; i < 4; i++)
            y[i] = (int16_t)mf_clip16(v[i]);
    }
}

FINISHER finish_sum(const work *p, const block *b, const int32_t *acc)
{
    const int32_t *m = p->now.mult + b->col, mult[4] = {m[0], m[1], m[2], m[3]}, at = b->row * b->across + b->col;
    const int16_t *other = p->now.other + at;
    int16_t *y = (int16_t *)p->now.y + at;
    int32_t v[4];

    for (int32_t left = four(); left > 0; left--, acc += 4, y += b->across, other += b->across) {
        requantised(b, acc, mult, v);
        for (int32_t i = 0; i < 4; i++)
            v[i] += other[i];
        for (int32_t i = 0; i < 4; i++)
            y[i] = (int16_t)mf_clip16(v[i]);
    }
}

FINISHER finish_any(const work *p, const block *b, const int32_t *acc)
{
    for (int32_t r = 0; r < 4; r++)
        store(p, b->row + r, b->col, 4, acc + 4 * r);
}

/* A block at the lower or right edge of the tile. */
static void edge(const work *p, int32_t row, int32_t col)
{
    const tile *t = &p->now;
    const int32_t taps = p->layer.taps, down = mf_least(4, t->rows - row), count = mf_least(4, t->cols - col);
    int32_t acc[4];

    for (int32_t r = row; r < row + down; r++) {
        for (int32_t i = 0; i < count; i++)
            acc[i] = t->bias[col + i] + mf_dot(t->x + r * p->layer.step, t->w + (col + i) * taps, taps);
        store(p, r, col, count, acc);
    }
}

/* A core's share of the tile's blocks. */
static inline __attribute__((always_inline)) void multiply(const work *p, int core, finisher finish)
{
    const mf_linear *l = &p->layer;
    const tile t = p->now;
    const int32_t taps = l->taps, step = l->step, wide = (t.cols + 3) >> 2, down = l->shift + l->lead - 32;
    block b = {.lead = l->lead, .down = down, .across = t.cols};
    int32_t first, end, acc[16];

    if (down > 0 && down <= WIDEST)
        b.half = (1 << (down - 1)) + l->zero * (1 << down);
    mf_share(((t.rows + 3) >> 2) * wide, core, &first, &end);
    b.row = 4 * (first / wide);
    b.col = 4 * (first % wide);
    for (int32_t left = end - first; left > 0; left--) {
        if (b.row + 4 <= t.rows && b.col + 4 <= t.cols) {
            mf_dots(t.x + b.row * step, step, t.w + b.col * taps, taps, taps, t.bias + b.col, acc, 4);
            finish(p, &b, acc);
        } else {
            edge(p, b.row, b.col);
        }
        b.col += 4;
        if (b.col >= t.cols)
            b.col = 0, b.row += 4;
    }
}

#define JOB(NAME)                                                                                                      \
    static void multiply_##NAME(void *argument, int core)                                                              \
    {                                                                                                                  \
        multiply(argument, core, finish_##NAME);                                                                       \
    }

JOB(int8)
JOB(transposed)
JOB(table)
JOB(rotary)
JOB(int16)
JOB(sum)
JOB(any)

static mf_job job_of(const mf_linear *l, int32_t has_other)
{
    const int32_t fine = l->epilogue == MF_ROTARY || (l->epilogue == MF_INT16 && !has_other);

    if (l->lead < 0 || (l->lead > 0 && !fine) || l->shift + l->lead - 32 > WIDEST ||
        (l->transposed && l->epilogue != MF_INT8))
        return multiply_any;
    switch (l->epilogue) {
    case MF_INT8:
        return l->transposed ? multiply_transposed : multiply_int8;
    case MF_TABLE:
        return multiply_table;
    case MF_ROTARY:
        return multiply_rotary;
    case MF_INT16:
        return has_other ? multiply_sum : multiply_int16;
    case MF_INT32:
        break;
    }
    return multiply_any;
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
    t.rows = mf_least(l->tile_rows, l->rows - t.row);
    t.col = number / down * l->tile_out;
    t.cols = mf_least(l->tile_out, l->out - t.col);
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
    const mf_job job = job_of(l, other != NULL);
    work p = {*l, (const int8_t *)mf_l1, (const int16_t *)(void *)mf_l1, now};

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
        p.now = now;
        mf_fork(job, &p);
        before = now;
        if (i + 1 < count)
            now = next;
    }
    mf_dma_wait();
    send(l, &before, y);
    mf_dma_wait();
}
