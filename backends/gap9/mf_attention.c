/* Attention in integers. Softmax with a table of exponentials and one division a row:
 *   e = table[((max - score) * sharpness) >> 32],   y = sum(e v) * (numerator / sum(e)) >> shift.
 * Keys and values of a head stay in L1 where they fit; else they pass in tiles, once for the scores and once for the
 * values, which gives the same bits. */
#include "mf_micro.h"

#define ALIGN(n) (((uint32_t)(n) + 7u) & ~7u)
#define ENTRIES 1024

typedef struct {
    const mf_attention *layer;
    const int8_t *q, *k, *v; /* tiles: (rows, size), (count, size), (size, count) */
    const uint8_t *table;
    int32_t rows, first, count; /* rows of queries; keys first .. first + count - 1 */
    uint32_t sharpness;
    uint64_t numerator;
    int32_t *scores; /* (rows, keys), then the same memory as bytes */
    int32_t *sums;   /* (rows, size) */
    int8_t *y;
} work;

static void score(const work *p, int32_t r, int32_t second)
{
    const int32_t size = p->layer->size, keys = p->layer->keys;
    const int8_t *q0 = p->q + r * size, *q1 = second ? q0 + size : q0;
    int32_t *s0 = p->scores + r * keys + p->first, *s1 = second ? s0 + keys : s0;
    int32_t j = 0, acc[8];

    for (; j + 4 <= p->count; j += 4) {
        mf_block(q0, q1, p->k + j * size, size, size, acc);
        for (int32_t i = 0; i < 4; i++) {
            s1[j + i] = acc[4 + i];
            s0[j + i] = acc[i];
        }
    }
    for (; j < p->count; j++) {
        s1[j] = mf_dot(q1, p->k + j * size, size);
        s0[j] = mf_dot(q0, p->k + j * size, size);
    }
}

/* A row of scores becomes bytes in its own memory: byte j is written when word j has been read. Gives their sum. */
static uint32_t exponentials(const work *p, int32_t r)
{
    const int32_t keys = p->layer->keys;
    const int32_t *s = p->scores + r * keys;
    uint8_t *e = (uint8_t *)(void *)(p->scores + r * keys);
    int32_t highest = s[0];
    uint32_t total = 0;

    for (int32_t j = 1; j < keys; j++)
        highest = s[j] > highest ? s[j] : highest;
    for (int32_t j = 0; j < keys; j++) {
        const uint32_t steps = (uint32_t)(((uint64_t)(uint32_t)(highest - s[j]) * p->sharpness) >> 32);
        e[j] = p->table[steps < ENTRIES ? steps : ENTRIES - 1];
        total += e[j];
    }
    return total;
}

static void weigh(const work *p, int32_t r, int32_t second)
{
    const int32_t size = p->layer->size;
    const uint8_t *e0 = (const uint8_t *)(p->scores + r * p->layer->keys) + p->first;
    const uint8_t *e1 = second ? e0 + 4 * p->layer->keys : e0;
    int32_t *sum0 = p->sums + r * size, *sum1 = sum0 + size;
    int32_t d = 0, acc[8];

    for (; d + 4 <= size; d += 4) {
        mf_blocku(e0, e1, p->v + d * p->count, p->count, p->count, acc);
        for (int32_t i = 0; i < 4; i++) {
            sum0[d + i] = acc[i] + (p->first ? sum0[d + i] : 0);
            if (second)
                sum1[d + i] = acc[4 + i] + (p->first ? sum1[d + i] : 0);
        }
    }
    for (; d < size; d++) {
        sum0[d] = mf_dotu(e0, p->v + d * p->count, p->count) + (p->first ? sum0[d] : 0);
        if (second)
            sum1[d] = mf_dotu(e1, p->v + d * p->count, p->count) + (p->first ? sum1[d] : 0);
    }
}

static void normalise(const work *p, int32_t r, uint32_t total)
{
    const int32_t size = p->layer->size, shift = p->layer->shift;
    const int64_t over = (int64_t)(p->numerator / total);

    for (int32_t d = 0; d < size; d++) {
        const int64_t scaled = (p->sums[r * size + d] * over + ((int64_t)1 << (shift - 1))) >> shift;
        p->y[r * size + d] = (int8_t)(scaled < -128 ? -128 : scaled > 127 ? 127 : scaled);
    }
}

static uint32_t total_of(const work *p, int32_t r)
{
    const uint8_t *e = (const uint8_t *)(p->scores + r * p->layer->keys);
    uint32_t total = 0;

    for (int32_t j = 0; j < p->layer->keys; j++)
        total += e[j];
    return total;
}

/* Everything for the rows of one core, where all keys and values are there. */
static void attend(void *argument, int core)
{
    work *p = argument;

    for (int32_t r = 2 * core; r < p->rows; r += 2 * MF_CORES) {
        const int32_t second = r + 1 < p->rows;
        score(p, r, second);
        const uint32_t first = exponentials(p, r), other = second ? exponentials(p, r + 1) : 0;
        weigh(p, r, second);
        normalise(p, r, first);
        if (second)
            normalise(p, r + 1, other);
    }
}

static void score_tile(void *argument, int core)
{
    for (int32_t r = 2 * core; r < ((work *)argument)->rows; r += 2 * MF_CORES)
        score(argument, r, r + 1 < ((work *)argument)->rows);
}

static void exponential_rows(void *argument, int core)
{
    for (int32_t r = core; r < ((work *)argument)->rows; r += MF_CORES)
        (void)exponentials(argument, r);
}

static void weigh_tile(void *argument, int core)
{
    for (int32_t r = 2 * core; r < ((work *)argument)->rows; r += 2 * MF_CORES)
        weigh(argument, r, r + 1 < ((work *)argument)->rows);
}

static void normalise_rows(void *argument, int core)
{
    for (int32_t r = core; r < ((work *)argument)->rows; r += MF_CORES)
        normalise(argument, r, total_of(argument, r));
}

/* Keys, then values, in tiles of two buffers; k and v point at the head's first in L2. */
static void stream(work *p, const int8_t *k, const int8_t *v, int8_t *const buffer[2])
{
    const mf_attention *l = p->layer;
    const int32_t width = l->heads * l->size, tiles = (l->keys + l->tile_keys - 1) / l->tile_keys;

    for (int32_t i = 0; i <= 2 * tiles; i++) {
        mf_dma_wait();
        if (i < 2 * tiles) {
            const int32_t first = i % tiles * l->tile_keys;
            const int32_t count = l->keys - first < l->tile_keys ? l->keys - first : l->tile_keys;
            if (i < tiles)
                mf_dma_in(buffer[i & 1], k + first * width, (uint32_t)l->size, (uint32_t)count, (uint32_t)width);
            else
                mf_dma_in(buffer[i & 1], v + first, (uint32_t)count, (uint32_t)l->size, (uint32_t)l->keys);
        }
        if (i > 0) { /* the tile that has come */
            p->first = (i - 1) % tiles * l->tile_keys;
            p->count = l->keys - p->first < l->tile_keys ? l->keys - p->first : l->tile_keys;
            p->k = p->v = buffer[(i - 1) & 1];
            mf_fork(i <= tiles ? score_tile : weigh_tile, p);
        }
        if (i == tiles)
            mf_fork(exponential_rows, p);
    }
    mf_fork(normalise_rows, p);
}

void mf_run_attention(const mf_attention *layer, const uint8_t *slot, const int8_t *q, const int8_t *k, const int8_t *v,
                      int8_t *y)
{
    const mf_attention *l = layer;
    const int32_t width = l->heads * l->size, resident = l->tile_keys >= l->keys;
    const uint32_t part = ALIGN(l->size * l->tile_keys), rows = ALIGN(l->tile_rows * l->size);
    const uint64_t *numerator = (const uint64_t *)(const void *)slot;
    const uint32_t *sharpness = (const uint32_t *)(const void *)(slot + 8 * l->heads);
    int8_t *const buffer[2] = {(int8_t *)mf_l1 + ENTRIES, (int8_t *)mf_l1 + ENTRIES + part};
    uint8_t *moving = mf_l1 + ENTRIES + 2 * part;
    work p = {.layer = l, .table = mf_l1, .count = l->keys};

    mf_dma_in(mf_l1, slot + 8 * l->heads + ALIGN(4 * l->heads), ENTRIES, 1, 0);
    p.scores = (int32_t *)(void *)(moving + 2 * rows);
    p.sums = p.scores + l->tile_rows * l->keys;
    p.q = (int8_t *)moving;
    p.y = (int8_t *)moving + rows;
    for (int32_t h = 0; h < l->heads; h++) {
        const int8_t *hk = k + h * l->size, *hv = v + h * l->size * l->keys;
        p.sharpness = sharpness[h];
        p.numerator = numerator[h];
        if (resident) {
            mf_dma_in(buffer[0], hk, (uint32_t)l->size, (uint32_t)l->keys, (uint32_t)width);
            mf_dma_in(buffer[1], hv, (uint32_t)(l->size * l->keys), 1, 0);
            p.k = buffer[0];
            p.v = buffer[1];
        }
        for (int32_t row = 0; row < l->rows; row += l->tile_rows) {
            p.rows = l->rows - row < l->tile_rows ? l->rows - row : l->tile_rows;
            mf_dma_in((void *)p.q, q + row * width + h * l->size, (uint32_t)l->size, (uint32_t)p.rows, (uint32_t)width);
            mf_dma_wait();
            if (resident)
                mf_fork(attend, &p);
            else
                stream(&p, hk, hv, buffer);
            mf_dma_out(y + row * width + h * l->size, p.y, (uint32_t)l->size, (uint32_t)p.rows, (uint32_t)width);
            mf_dma_wait();
        }
    }
}
