/* Attention in integers. Softmax with a table of exponentials and one division a row:
 *   e = table[((max - score) * sharpness) >> 32],   y = sum(e v) * (numerator / sum(e)) >> shift.
 * Keys and values of a head stay in L1 where they fit; else they pass in tiles, once for the scores and once for the
 * values, which gives the same bits. */
#include "mf_micro.h"

#define ALIGN(n) (((uint32_t)(n) + 7u) & ~7u)
#define ENTRIES 1024

typedef struct {
    mf_attention layer;      /* a copy near the cores */
    const int8_t *q, *k, *v; /* tiles: (rows, size), (count, size), (size, count) */
    const uint8_t *table;
    int32_t rows, first, count; /* rows of queries; keys first .. first + count - 1 */
    uint32_t sharpness;
    uint64_t numerator;
    int32_t *scores;  /* (rows, keys), then the same memory as bytes */
    int32_t *sums;    /* (rows, size) */
    uint32_t *totals; /* of a row's exponentials */
    int8_t *y;
    int32_t none[4]; /* zeros */
} work;

/* Scores of all rows with the keys that are there, in blocks of four by four shared among the cores. */
static void score(void *argument, int core)
{
    const work *p = argument;
    const int32_t size = p->layer.size, keys = p->layer.keys, wide = (p->count + 3) >> 2;
    int32_t first, end;

    mf_share(((p->rows + 3) >> 2) * wide, core, &first, &end);
    int32_t r = 4 * (first / wide), j = 4 * (first % wide);
    for (int32_t left = end - first; left > 0; left--) {
        const int8_t *q = p->q + r * size, *k = p->k + j * size;
        int32_t *s = p->scores + r * keys + p->first + j;
        if (r + 4 <= p->rows && j + 4 <= p->count)
            mf_dots(q, size, k, size, size, p->none, s, keys);
        else
            for (int32_t m = 0; m < mf_least(4, p->rows - r); m++)
                for (int32_t n = 0; n < mf_least(4, p->count - j); n++)
                    s[m * keys + n] = mf_dot(q + m * size, k + n * size, size);
        j += 4;
        if (j >= p->count)
            j = 0, r += 4;
    }
}

static int32_t highest_of(const int32_t *s, int32_t keys)
{
    int32_t a = s[0], b = s[0], j = 0;

    for (; j + 4 <= keys; j += 4) {
        const int32_t s0 = s[j], s1 = s[j + 1], s2 = s[j + 2], s3 = s[j + 3];
        a = mf_most(a, mf_most(s0, s1));
        b = mf_most(b, mf_most(s2, s3));
    }
    for (; j < keys; j++)
        a = mf_most(a, s[j]);
    return mf_most(a, b);
}

/* Rows of scores become bytes in their own memory: byte j is written when word j has been read. */
static void exponentials(void *argument, int core)
{
    const work *p = argument;
    const int32_t keys = p->layer.keys;
    const uint32_t sharpness = p->sharpness;
    const uint8_t *table = p->table;

    for (int32_t r = core; r < p->rows; r += MF_CORES) {
        const int32_t *s = p->scores + r * keys, highest = highest_of(s, keys);
        uint8_t *e = (uint8_t *)(void *)(p->scores + r * keys);
        uint32_t total = 0;
        int32_t j = 0;
        for (; j + 4 <= keys; j += 4) {
            uint32_t at[4];
            for (int32_t i = 0; i < 4; i++)
                at[i] = (uint32_t)(highest - s[j + i]);
            for (int32_t i = 0; i < 4; i++)
                at[i] = mf_leastu((uint32_t)(((uint64_t)at[i] * sharpness) >> 32), ENTRIES - 1);
            for (int32_t i = 0; i < 4; i++)
                at[i] = table[at[i]];
            for (int32_t i = 0; i < 4; i++) {
                e[j + i] = (uint8_t)at[i];
                total += at[i];
            }
        }
        for (; j < keys; j++) {
            const uint32_t at = (uint32_t)(((uint64_t)(uint32_t)(highest - s[j]) * sharpness) >> 32);
            e[j] = table[mf_leastu(at, ENTRIES - 1)];
            total += e[j];
        }
        p->totals[r] = total;
    }
}

/* Values weighed by the keys that are there, added to what earlier keys gave. */
static void weigh(void *argument, int core)
{
    const work *p = argument;
    const int32_t size = p->layer.size, row = 4 * p->layer.keys, wide = (size + 3) >> 2;
    int32_t first, end, acc[16];

    mf_share(((p->rows + 3) >> 2) * wide, core, &first, &end);
    int32_t r = 4 * (first / wide), d = 4 * (first % wide);
    for (int32_t left = end - first; left > 0; left--) {
        const uint8_t *e = (const uint8_t *)p->scores + r * row + p->first;
        const int8_t *v = p->v + d * p->count;
        const int32_t down = mf_least(4, p->rows - r), across = mf_least(4, size - d);
        int32_t *sum = p->sums + r * size + d;
        if (down == 4 && across == 4 && p->first == 0) {
            mf_dotsu(e, row, v, p->count, p->count, p->none, sum, size);
        } else {
            if (down == 4 && across == 4)
                mf_dotsu(e, row, v, p->count, p->count, p->none, acc, 4);
            for (int32_t m = 0; m < down; m++)
                for (int32_t n = 0; n < across; n++) {
                    if (down < 4 || across < 4)
                        acc[4 * m + n] = mf_dotu(e + m * row, v + n * p->count, p->count);
                    sum[m * size + n] = acc[4 * m + n] + (p->first ? sum[m * size + n] : 0);
                }
        }
        d += 4;
        if (d >= size)
            d = 0, r += 4;
    }
}

static void normalise(void *argument, int core)
{
    const work *p = argument;
    const int32_t size = p->layer.size, shift = p->layer.shift;

    for (int32_t r = core; r < p->rows; r += MF_CORES) {
        const int32_t over = (int32_t)mf_quotient(p->numerator, p->totals[r]), *sum = p->sums + r * size;
        int8_t *y = p->y + r * size;
        for (int32_t d = 0; d < size; d++)
            y[d] = (int8_t)mf_clip8(mf_requantise(sum[d], over, shift));
    }
}

/* Keys, then values, in tiles of two buffers; k and v point at the head's first in L2. */
static void stream(work *p, const int8_t *k, const int8_t *v, int8_t *const buffer[2])
{
    const mf_attention *l = &p->layer;
    const int32_t width = l->heads * l->size, tiles = (l->keys + l->tile_keys - 1) / l->tile_keys;

    for (int32_t i = 0; i <= 2 * tiles; i++) {
        mf_dma_wait();
        if (i < 2 * tiles) {
            const int32_t first = i % tiles * l->tile_keys, count = mf_least(l->keys - first, l->tile_keys);
            if (i < tiles)
                mf_dma_in(buffer[i & 1], k + first * width, (uint32_t)l->size, (uint32_t)count, (uint32_t)width);
            else
                mf_dma_in(buffer[i & 1], v + first, (uint32_t)count, (uint32_t)l->size, (uint32_t)l->keys);
        }
        if (i > 0) { /* the tile that has come */
            p->first = (i - 1) % tiles * l->tile_keys;
            p->count = mf_least(l->keys - p->first, l->tile_keys);
            p->k = p->v = buffer[(i - 1) & 1];
            mf_fork(i <= tiles ? score : weigh, p);
        }
        if (i == tiles)
            mf_fork(exponentials, p);
    }
}

void mf_run_attention(const mf_attention *layer, const uint8_t *slot, const int8_t *q, const int8_t *k, const int8_t *v,
                      int8_t *y)
{
    work p = {.layer = *layer, .table = mf_l1, .count = layer->keys};
    const mf_attention *l = &p.layer;
    const int32_t width = l->heads * l->size, resident = l->tile_keys >= l->keys;
    const uint32_t part = ALIGN(l->size * l->tile_keys), rows = ALIGN(l->tile_rows * l->size);
    const uint64_t *numerator = (const uint64_t *)(const void *)slot;
    const uint32_t *sharpness = (const uint32_t *)(const void *)(slot + 8 * l->heads);
    int8_t *const buffer[2] = {(int8_t *)mf_l1 + ENTRIES, (int8_t *)mf_l1 + ENTRIES + part};
    uint8_t *moving = mf_l1 + ENTRIES + 2 * part;

    mf_dma_in(mf_l1, slot + 8 * l->heads + ALIGN(4 * l->heads), ENTRIES, 1, 0);
    p.scores = (int32_t *)(void *)(moving + 2 * rows);
    p.sums = p.scores + l->tile_rows * l->keys;
    p.totals = (uint32_t *)p.sums + l->tile_rows * l->size;
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
            if (resident) {
                mf_fork(score, &p);
                mf_fork(exponentials, &p);
                mf_fork(weigh, &p);
            } else {
                stream(&p, hk, hv, buffer);
            }
            mf_fork(normalise, &p);
            mf_dma_out(y + row * width + h * l->size, p.y, (uint32_t)l->size, (uint32_t)p.rows, (uint32_t)width);
            mf_dma_wait();
        }
    }
}
