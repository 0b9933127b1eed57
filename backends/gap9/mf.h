/* mf: integer kernels for a cluster of small cores with a scratchpad (L1), a shared memory (L2) and a far one (L3).
 *
 * Every operator is specified in docs/gap9.md and gives the same bits on every platform. Data stand in L2; an operator
 * brings tiles of them to L1, works on them on all cores while the next tile travels, and takes the result back. Its
 * parameters ("slot") have come from L3 to L2 before it starts. No heap; no floating point.
 */
#ifndef MF_H
#define MF_H

#include <stddef.h>
#include <stdint.h>

#ifndef MF_CORES
#define MF_CORES 8
#endif

/* Platform: one file in platform/ for each place to run. */

typedef void (*mf_job)(void *argument, int core);

void mf_fork(mf_job job, void *argument);                       /* job on cores 0 .. MF_CORES - 1; returns when all have */
void mf_l3_start(void *l2, uint32_t offset, uint32_t bytes);    /* begin to read parameters */
void mf_l3_wait(void);                                          /* until they are there */
void mf_dma_in(void *l1, const void *l2, uint32_t bytes, uint32_t rows, uint32_t stride);  /* rows pieces, stride apart */
void mf_dma_out(void *l2, const void *l1, uint32_t bytes, uint32_t rows, uint32_t stride); /* in L2, packed in L1 */
void mf_dma_wait(void);                                         /* until all copies so far are done */
void mf_trace(int layer, const void *output, uint32_t bytes);   /* called behind every layer; may do nothing */

extern uint8_t mf_l1[];

/* Operators. Sizes are in elements; `tile_*` is what fits L1, as the plan says. */

typedef enum { MF_INT8, MF_TABLE, MF_ROTARY, MF_INT16, MF_INT32 } mf_epilogue;

/* y[r][n] = epilogue(bias[n] + sum over k of w[n][k] x[r * step + k]). Slot: w, bias, mult, then table or turn. */
typedef struct {
    mf_epilogue epilogue;
    int32_t rows, taps, out, step;
    int32_t tile_rows, tile_out;
    int32_t shift, zero; /* requantisation */
    int32_t lead;        /* every sum times 2^lead has 32 bits and shift + lead > 32; or -1: there is no such number */
    int32_t period;      /* MF_ROTARY: rows until the angles repeat */
    int32_t transposed;  /* y[n][r] */
} mf_linear;

void mf_run_linear(const mf_linear *layer, const uint8_t *slot, const int8_t *x, const int16_t *other, void *y);

/* Attention of `heads` heads; q (rows, heads * size), k (keys, heads * size), v (heads * size, keys).
 * Slot: numerator (uint64), sharpness (uint32), both per head, and the exponential (1024 bytes). */
typedef struct {
    int32_t rows, keys, heads, size;
    int32_t tile_rows, tile_keys; /* tile_keys == keys: keys and values of a head stay in L1 */
    int32_t shift;
} mf_attention;

void mf_run_attention(const mf_attention *layer, const uint8_t *slot, const int8_t *q, const int8_t *k, const int8_t *v,
                      int8_t *y);

/* Operators on rows. Slot: gain, offset (int32 each). */
typedef struct {
    int32_t rows, width, tile_rows;
    int32_t shift, floor_low, floor_high; /* eps in 64 bits */
    int32_t wide;                         /* output int16, else int8 */
} mf_norm;

void mf_run_norm(const mf_norm *layer, const uint8_t *slot, const int16_t *x, void *y);

/* y = table[clip(requantise(x - offset) + zero) + 128]. Slot: table of int8 or int16. */
typedef struct {
    int32_t rows, width, tile_rows;
    int32_t mult, shift, offset, zero;
    int32_t wide_in, wide_out;
} mf_table;

void mf_run_table(const mf_table *layer, const uint8_t *slot, const void *x, void *y);

/* Mean of every `group` rows: requantise(sum - offset). */
typedef struct {
    int32_t rows, width, group, tile_rows;
    int32_t mult, shift, offset;
    int32_t wide; /* input int16, else int8 */
} mf_mean;

void mf_run_mean(const mf_mean *layer, const void *x, int8_t *y);

/* y = saturate(x + other); with `groups`, other is a slot of (groups, width) and row r takes row r / (rows / groups). */
typedef struct {
    int32_t rows, width, tile_rows, groups;
} mf_add;

void mf_run_add(const mf_add *layer, const int16_t *slot, const int16_t *x, const int16_t *other, int16_t *y);

/* Moves within L2. */
void mf_run_pad(uint8_t *y, const uint8_t *x, int32_t rows, int32_t row_bytes, int32_t before, int32_t after, int32_t fill);
void mf_run_transpose(int8_t *y, const int8_t *x, int32_t rows, int32_t width);

#endif
