/* Operators that look at one row (or a group of rows) at a time: normalisation, tables, sums, means. */
#include "mf_micro.h"

#define ALIGN(n) (((uint32_t)(n) + 7u) & ~7u)

/* Rows in, rows out, in tiles of two buffers. Behind `parameters` bytes of the slot L1 holds the tiles. */
typedef struct {
    const void *layer;
    int32_t rows, tile_rows, first, count; /* of all rows, those now in L1 */
    uint32_t in, other, out;               /* bytes of a row; other: of a second input, or 0 */
    const uint8_t *slot;
    uint32_t parameters;
    const uint8_t *x, *z; /* now in L1 */
    uint8_t *y;
} rows;

static void fetch(const rows *p, int32_t number, uint8_t *l1, const uint8_t *x, const uint8_t *z)
{
    const int32_t first = number * p->tile_rows;
    const int32_t count = p->rows - first < p->tile_rows ? p->rows - first : p->tile_rows;

    mf_dma_in(l1, x + (uint32_t)first * p->in, (uint32_t)count * p->in, 1, 0);
    if (p->other)
        mf_dma_in(l1 + ALIGN((uint32_t)p->tile_rows * p->in), z + (uint32_t)first * p->other,
                  (uint32_t)count * p->other, 1, 0);
}

static void each(rows *p, mf_job job, const uint8_t *x, const uint8_t *z, uint8_t *y)
{
    const int32_t tiles = (p->rows + p->tile_rows - 1) / p->tile_rows;
    const uint32_t xs = ALIGN((uint32_t)p->tile_rows * p->in), zs = ALIGN((uint32_t)p->tile_rows * p->other);
    const uint32_t half = xs + zs + ALIGN((uint32_t)p->tile_rows * p->out);
    uint8_t *l1 = mf_l1 + ALIGN(p->parameters);

    if (p->parameters)
        mf_dma_in(mf_l1, p->slot, p->parameters, 1, 0);
    fetch(p, 0, l1, x, z);
    for (int32_t i = 0; i <= tiles; i++) {
        mf_dma_wait();
        if (i > 0)
            mf_dma_out(y + (uint32_t)p->first * p->out, p->y, (uint32_t)p->count * p->out, 1, 0);
        if (i == tiles)
            break;
        if (i + 1 < tiles)
            fetch(p, i + 1, l1 + ((i + 1) & 1) * half, x, z);
        p->first = i * p->tile_rows;
        p->count = p->rows - p->first < p->tile_rows ? p->rows - p->first : p->tile_rows;
        p->x = l1 + (i & 1) * half;
        p->z = p->x + xs;
        p->y = (uint8_t *)p->x + xs + zs;
        mf_fork(job, p);
    }
    mf_dma_wait();
}

/* floor(sqrt(x)) for x below 2^50, a binary digit at a time; what is left never exceeds twice what is found. */
static uint32_t root(uint64_t x)
{
    const uint32_t upper = (uint32_t)(x >> 18), lower = (uint32_t)x & 0x3ffffu;
    uint32_t rest = 0, found = 0;

    for (int32_t at = 30; at >= 0; at -= 2) {
        const uint32_t next = found << 2 | 1u;
        rest = rest << 2 | (upper >> at & 3u);
        found <<= 1;
        if (rest >= next)
            rest -= next, found |= 1u;
    }
    for (int32_t at = 16; at >= 0; at -= 2) {
        const uint32_t next = found << 2 | 1u;
        rest = rest << 2 | (lower >> at & 3u);
        found <<= 1;
        if (rest >= next)
            rest -= next, found |= 1u;
    }
    return found;
}

/* Of a row of whole numbers: sum, and sum of squares. */
static int32_t sums_of(const int16_t *x, int32_t width, uint64_t *squares)
{
    uint64_t two = 0;
    int32_t sum = 0, i = 0;

    for (; i + 4 <= width; i += 4) { /* two squares make at most 2^31 */
        mf_pair(x + i, &sum, &two);
        mf_pair(x + i + 2, &sum, &two);
    }
    for (; i < width; i++) {
        sum += x[i];
        two += (uint32_t)(x[i] * x[i]);
    }
    *squares = two;
    return sum;
}

/* What a row's values become: n = (x times - middle) over, then n gain + offset. */
typedef struct {
    uint32_t times, middle;
    int32_t over, shift;
} scale;

static inline __attribute__((always_inline)) int32_t scaled(const scale *s, int32_t x, int32_t gain, int32_t offset)
{
    const int32_t away = (int32_t)(s->times * (uint32_t)x - s->middle); /* up to 2^25 sqrt(width) */
    const int32_t n = (mf_upper(away, s->over) + 512) >> 10;              /* up to 2^12 sqrt(width) */

    return (n * gain + offset) >> s->shift;
}

static void normalise(void *argument, int core)
{
    const rows *p = argument;
    const mf_norm *l = p->layer;
    const int32_t *gain = (const int32_t *)(void *)mf_l1;
    const int32_t *offset = (const int32_t *)(void *)(mf_l1 + ALIGN(4 * l->width));
    const uint64_t floor = (uint64_t)(uint32_t)l->floor_high << 32 | (uint32_t)l->floor_low;
    const int32_t width = l->width, shift = l->shift, wide = l->wide;

    for (int32_t r = core; r < p->count; r += MF_CORES) {
        const int16_t *x = (const int16_t *)(const void *)p->x + r * width;
        int8_t *narrow = (int8_t *)p->y + r * width;
        int16_t *halves = (int16_t *)(void *)p->y + r * width;
        int32_t lift = 0;
        uint64_t power;
        const int32_t sum = sums_of(x, width, &power);

        power = (uint32_t)width * power - (uint64_t)((int64_t)sum * sum) + floor;
        if (power >> 50)
            power = ((uint64_t)1 << 50) - 1;
        while (!(power >> 48)) {
            power <<= 2;
            lift++;
        }
        const int32_t over = (int32_t)(mf_quotient((uint64_t)1 << 49, root(power)) << 5); /* at most 2^30 */
        const scale by = {(uint32_t)width << lift, (uint32_t)sum << lift, over, shift};
        int32_t i = 0, v[4];
        if (wide)
            for (; i < width; i++)
                halves[i] = (int16_t)mf_clip16(scaled(&by, x[i], gain[i], offset[i]));
        for (; i + 4 <= width; i += 4) {
            for (int32_t k = 0; k < 4; k++)
                v[k] = scaled(&by, x[i + k], gain[i + k], offset[i + k]);
            for (int32_t k = 0; k < 4; k++)
                narrow[i + k] = (int8_t)mf_clip8(v[k]);
        }
        for (; i < width; i++)
            narrow[i] = (int8_t)mf_clip8(scaled(&by, x[i], gain[i], offset[i]));
    }
}

void mf_run_norm(const mf_norm *layer, const uint8_t *slot, const int16_t *x, void *y)
{
    const uint32_t width = (uint32_t)layer->width;
    rows p = {.layer = layer, .rows = layer->rows, .tile_rows = layer->tile_rows, .in = 2 * width,
              .out = layer->wide ? 2 * width : width, .slot = slot, .parameters = 2 * ALIGN(4 * width)};

    each(&p, normalise, (const uint8_t *)x, NULL, y);
}

static void look_up(void *argument, int core)
{
    const rows *p = argument;
    const mf_table l = *(const mf_table *)p->layer; /* the constant is in L2 */

    for (int32_t r = core; r < p->count; r += MF_CORES)
        for (int32_t i = r * l.width; i < (r + 1) * l.width; i++) {
            const int32_t x = l.wide_in ? ((const int16_t *)(const void *)p->x)[i] : ((const int8_t *)p->x)[i];
            const int32_t at = mf_clip8(mf_requantise(x - l.offset, l.mult, l.shift) + l.zero) + 128;
            if (l.wide_out)
                ((int16_t *)(void *)p->y)[i] = ((const int16_t *)(void *)mf_l1)[at];
            else
                ((int8_t *)p->y)[i] = ((const int8_t *)mf_l1)[at];
        }
}

void mf_run_table(const mf_table *layer, const uint8_t *slot, const void *x, void *y)
{
    const uint32_t width = (uint32_t)layer->width;
    rows p = {.layer = layer, .rows = layer->rows, .tile_rows = layer->tile_rows,
              .in = layer->wide_in ? 2 * width : width, .out = layer->wide_out ? 2 * width : width, .slot = slot,
              .parameters = layer->wide_out ? 512 : 256};

    each(&p, look_up, x, NULL, y);
}

static void average(void *argument, int core)
{
    const rows *p = argument;
    const mf_mean l = *(const mf_mean *)p->layer;
    const int32_t all = l.group * l.width;

    for (int32_t r = 0; r < p->count; r++)
        for (int32_t n = core; n < l.width; n += MF_CORES) {
            int32_t sum = -l.offset;
            for (int32_t i = r * all + n; i < (r + 1) * all; i += l.width)
                sum += l.wide ? ((const int16_t *)(const void *)p->x)[i] : ((const int8_t *)p->x)[i];
            ((int8_t *)p->y)[r * l.width + n] = (int8_t)mf_clip8(mf_requantise(sum, l.mult, l.shift));
        }
}

void mf_run_mean(const mf_mean *layer, const void *x, int8_t *y)
{
    const uint32_t width = (uint32_t)layer->width, in = (uint32_t)layer->group * width;
    rows p = {.layer = layer, .rows = layer->rows, .tile_rows = layer->tile_rows, .in = layer->wide ? 2 * in : in,
              .out = width};

    each(&p, average, x, NULL, (uint8_t *)y);
}

static void add_up(void *argument, int core)
{
    const rows *p = argument;
    const mf_add l = *(const mf_add *)p->layer;

    for (int32_t r = core; r < p->count; r += MF_CORES) {
        const int16_t *x = (const int16_t *)(const void *)p->x + r * l.width;
        const int16_t *z = l.groups ? (const int16_t *)(void *)mf_l1 + (p->first + r) / (l.rows / l.groups) * l.width
                                     : (const int16_t *)(const void *)p->z + r * l.width;
        int16_t *y = (int16_t *)(void *)p->y + r * l.width;
        for (int32_t i = 0; i < l.width; i++)
            y[i] = (int16_t)mf_clip16(x[i] + z[i]);
    }
}

void mf_run_add(const mf_add *layer, const int16_t *slot, const int16_t *x, const int16_t *other, int16_t *y)
{
    const uint32_t bytes = 2 * (uint32_t)layer->width;
    rows p = {.layer = layer, .rows = layer->rows, .tile_rows = layer->tile_rows, .in = bytes, .out = bytes,
              .other = layer->groups ? 0 : bytes, .slot = (const uint8_t *)slot,
              .parameters = (uint32_t)layer->groups * bytes};

    each(&p, add_up, (const uint8_t *)x, (const uint8_t *)other, (uint8_t *)y);
}

/* Moves within L2, shared among the cores: `count` bytes to y of x, or of `fill` where there is no x. */
typedef struct {
    uint8_t *y;
    const uint8_t *x;
    int32_t count, fill, rows, width;
} move;

static void copy(void *argument, int core)
{
    const move m = *(const move *)argument;
    int32_t first, end;

    mf_share((m.count + 3) >> 2, core, &first, &end);
    for (int32_t i = 4 * first; i < mf_least(4 * end, m.count); i++)
        m.y[i] = m.x ? m.x[i] : (uint8_t)m.fill;
}

void mf_run_pad(uint8_t *y, const uint8_t *x, int32_t rows, int32_t row_bytes, int32_t before, int32_t after, int32_t fill)
{
    move head = {.y = y, .count = before * row_bytes, .fill = fill};
    move body = {.y = y + head.count, .x = x, .count = rows * row_bytes};
    move tail = {.y = body.y + body.count, .count = after * row_bytes, .fill = fill};

    mf_fork(copy, &head);
    mf_fork(copy, &body);
    mf_fork(copy, &tail);
}

static void turn(void *argument, int core)
{
    const move m = *(const move *)argument;
    int32_t first, end;

    mf_share(m.width, core, &first, &end);
    for (int32_t i = first; i < end; i++)
        for (int32_t r = 0; r < m.rows; r++)
            m.y[i * m.rows + r] = m.x[r * m.width + i];
}

void mf_run_transpose(int8_t *y, const int8_t *x, int32_t rows, int32_t width)
{
    move all = {.y = (uint8_t *)y, .x = (const uint8_t *)x, .rows = rows, .width = width};

    mf_fork(turn, &all);
}
