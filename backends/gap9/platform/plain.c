/* Platform for a computer, or one plain RISC-V core: the cores take turns, a transfer is a copy, L3 is memory. */
#include "../mf.h"

#ifdef MF_BARE /* no C library: platform/bare.c */
void *memcpy(void *to, const void *from, size_t n);
#else
#include <string.h>
#endif

#ifndef MF_L1
#define MF_L1 131072
#endif

uint8_t mf_l1[MF_L1] __attribute__((aligned(16)));
const uint8_t *mf_l3;                                             /* where the parameters are */
void (*mf_watch)(int layer, const void *output, uint32_t bytes);  /* what looks at every layer, or NULL */

void mf_fork(mf_job job, void *argument)
{
    for (int core = 0; core < MF_CORES; core++)
        job(argument, core);
}

void mf_l3_start(void *l2, uint32_t offset, uint32_t bytes)
{
    memcpy(l2, mf_l3 + offset, bytes);
}

void mf_l3_wait(void)
{
}

void mf_dma_in(void *l1, const void *l2, uint32_t bytes, uint32_t rows, uint32_t stride)
{
    for (uint32_t r = 0; r < rows; r++)
        memcpy((uint8_t *)l1 + r * bytes, (const uint8_t *)l2 + r * stride, bytes);
}

void mf_dma_out(void *l2, const void *l1, uint32_t bytes, uint32_t rows, uint32_t stride)
{
    for (uint32_t r = 0; r < rows; r++)
        memcpy((uint8_t *)l2 + r * stride, (const uint8_t *)l1 + r * bytes, bytes);
}

void mf_dma_wait(void)
{
}

void mf_trace(int layer, const void *output, uint32_t bytes)
{
    if (mf_watch)
        mf_watch(layer, output, bytes);
}
