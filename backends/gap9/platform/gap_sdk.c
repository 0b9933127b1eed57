/* Platform for the vendor's SDK (PMSIS): a cluster of MF_CORES workers, its DMA, and HyperRAM as L3.
 *
 * The fabric controller loads weights.bin into RAM at `mf_l3_base` before the cluster starts; net_run is the cluster's
 * entry. Written against the documented PMSIS interface; it needs the SDK to be built. */
#include "pmsis.h"

#include "../mf.h"

#ifndef MF_L1
#define MF_L1 118000
#endif
#define MOST 16 /* copies in flight */

PI_L1 uint8_t mf_l1[MF_L1];
struct pi_device *mf_ram;
uint32_t mf_l3_base;

PI_L1 static pi_cl_dma_cmd_t copies[MOST];
PI_L1 static int copying;
PI_L1 static pi_cl_ram_req_t reading;
PI_L1 static int is_reading;

typedef struct {
    mf_job job;
    void *argument;
} order;

static void worker(void *argument)
{
    const order *o = argument;
    o->job(o->argument, (int)pi_core_id());
}

void mf_fork(mf_job job, void *argument)
{
    order o = {job, argument};
    pi_cl_team_fork(MF_CORES, worker, &o);
}

void mf_l3_start(void *l2, uint32_t offset, uint32_t bytes)
{
    if (bytes == 0)
        return;
    pi_cl_ram_read(mf_ram, mf_l3_base + offset, l2, bytes, &reading);
    is_reading = 1;
}

void mf_l3_wait(void)
{
    if (is_reading)
        pi_cl_ram_read_wait(&reading);
    is_reading = 0;
}

static void copy(uint32_t l1, uint32_t l2, uint32_t bytes, uint32_t rows, uint32_t stride, pi_cl_dma_dir_e direction)
{
    if (copying == MOST)
        mf_dma_wait();
    if (rows == 1)
        pi_cl_dma_cmd(l2, l1, bytes, direction, &copies[copying++]);
    else
        pi_cl_dma_cmd_2d(l2, l1, bytes * rows, stride, bytes, direction, &copies[copying++]);
}

void mf_dma_in(void *l1, const void *l2, uint32_t bytes, uint32_t rows, uint32_t stride)
{
    copy((uint32_t)l1, (uint32_t)l2, bytes, rows, stride, PI_CL_DMA_DIR_EXT2LOC);
}

void mf_dma_out(void *l2, const void *l1, uint32_t bytes, uint32_t rows, uint32_t stride)
{
    copy((uint32_t)l1, (uint32_t)l2, bytes, rows, stride, PI_CL_DMA_DIR_LOC2EXT);
}

void mf_dma_wait(void)
{
    for (int i = 0; i < copying; i++)
        pi_cl_dma_cmd_wait(&copies[i]);
    copying = 0;
}

void mf_trace(int layer, const void *output, uint32_t bytes)
{
    (void)layer, (void)output, (void)bytes;
}
