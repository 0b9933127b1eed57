/* Platform for PULP-open as GVSoC simulates it: eight workers and a controller on 128 KiB of L1, MCHAN DMA, event unit,
 * and HyperRAM behind the uDMA as L3. Bare metal; the fabric controller reads weights.bin and windows.bin and writes
 * outputs.bin and cycles.bin through semihosting. Addresses and register layouts are those of the public model. */
#include "../mf.h"

#include "network.h"

#define REG(address) (*(volatile uint32_t *)(address))

#define CLUSTER_FETCH 0x10200008u
#define CLUSTER_BOOT(core) (0x10200040u + 4u * (uint32_t)(core))
#define CLUSTER_ICACHE 0x10201400u
#define FC_ICACHE 0x1A108800u
#define EVENT_MASK_OR 0x10204008u
#define BARRIER 0x10204200u /* barrier 0: +0 who triggers, +12 who is woken, +28 trigger and wait */
#define DMA_COMMAND 0x10204400u
#define DMA_STATUS 0x10204404u
#define UDMA_GATES 0x1A102000u
#define HYPER 0x1A102480u
#define HYPER_SELECT 0x1A1028A0u
#define HYPER_LATENCY 0x1A102884u

#define EVENT_BARRIER (1u << 16)
#define TEAM ((1u << (MF_CORES + 1)) - 1u)
#define BLOCK 16384u
#define LAYERS 160

void _start(void);

uint8_t mf_l1[MF_L1] __attribute__((aligned(16), section(".l1")));

static struct {
    volatile mf_job job;
    void *volatile argument;
} order __attribute__((section(".l1")));

static volatile uint32_t go, ready;
static const void *volatile result;
static uint32_t counter, copying;
static uint32_t cycles[1 + LAYERS]; /* of the whole, then of each layer */
static uint32_t begun;
static uint8_t block[BLOCK] __attribute__((aligned(16), section(".l2")));

/* The cluster. */

static inline uint32_t now(void)
{
    uint32_t value;
    __asm__ volatile(".option push\n.option arch, +zicsr\ncsrr %0, 0xb00\n.option pop" : "=r"(value));
    return value;
}

/* p.elw: a load that sleeps until the event unit answers. */
static inline void meet(void)
{
    uint32_t ignored;
    __asm__ volatile(".insn i 0x03, 6, %0, 28(%1)" : "=r"(ignored) : "r"(BARRIER) : "memory");
}

void mf_fork(mf_job job, void *argument)
{
    order.job = job;
    order.argument = argument;
    meet(); /* the workers start */
    meet(); /* they are done */
}

static void work(int core)
{
    for (;;) {
        meet();
        order.job(order.argument, core);
        meet();
    }
}

static void copy(uint32_t l1, uint32_t l2, uint32_t bytes, uint32_t rows, uint32_t stride, uint32_t inwards)
{
    const uint32_t total = bytes * rows, flat = rows == 1 || stride == bytes;

    if (total == 0)
        return;
    if (!copying) {
        counter = REG(DMA_COMMAND); /* one counter for all copies until the next wait */
        copying = 1;
    }
    REG(DMA_COMMAND) = total | inwards << 17 | 1u << 18 | (flat ? 0u : 1u << 19);
    REG(DMA_COMMAND) = l1;
    REG(DMA_COMMAND) = l2;
    if (!flat) {
        REG(DMA_COMMAND) = bytes;
        REG(DMA_COMMAND) = stride;
    }
}

void mf_dma_in(void *l1, const void *l2, uint32_t bytes, uint32_t rows, uint32_t stride)
{
    copy((uint32_t)l1, (uint32_t)l2, bytes, rows, stride, 1);
}

void mf_dma_out(void *l2, const void *l1, uint32_t bytes, uint32_t rows, uint32_t stride)
{
    copy((uint32_t)l1, (uint32_t)l2, bytes, rows, stride, 0);
}

void mf_dma_wait(void)
{
    if (!copying)
        return;
    while (REG(DMA_STATUS) & 1u << counter)
        ;
    REG(DMA_STATUS) = 1u << counter;
    copying = 0;
}

static void hyper_wait(void)
{
    while (REG(HYPER + 0x24) & 1u)
        ;
}

static void hyper(uint32_t l2, uint32_t offset, uint32_t bytes, uint32_t reading)
{
    const uint32_t at = HYPER + (reading ? 0u : 12u);

    REG(at) = l2;
    REG(at + 4) = bytes;
    REG(HYPER + 0x1C) = offset;
    REG(HYPER + 0x18) = reading << 2 | 1u;
    REG(at + 8) = 0x14; /* words, go */
}

void mf_l3_start(void *l2, uint32_t offset, uint32_t bytes)
{
    if (bytes)
        hyper((uint32_t)l2, offset, bytes, 1);
}

void mf_l3_wait(void)
{
    hyper_wait();
}

void mf_trace(int layer, const void *output, uint32_t bytes)
{
    const uint32_t at = now();

    (void)output, (void)bytes;
    if (layer <= LAYERS)
        cycles[layer] = at - begun;
    begun = now();
}

static void control(void)
{
    REG(BARRIER) = TEAM;
    REG(BARRIER + 12) = TEAM;
    for (;;) {
        while (!go)
            ;
        const uint32_t start = now();
        begun = start;
        result = net_run();
        cycles[0] = now() - start;
        go = 0;
        ready = 1;
    }
}

/* Called by every core of the cluster, on its own stack. */
void cluster_main(int core)
{
    REG(EVENT_MASK_OR) = EVENT_BARRIER;
    if (core < MF_CORES) {
        while (REG(BARRIER) != TEAM)
            ;
        work(core);
    }
    control();
}

/* The fabric controller. */

static int32_t host(uint32_t call, const void *words)
{
    register uint32_t a0 __asm__("a0") = call;
    register const void *a1 __asm__("a1") = words;

    __asm__ volatile(".option push\n.option norvc\n"
                     "slli x0, x0, 0x1f\n"
                     "ebreak\n"
                     "srai x0, x0, 7\n"
                     ".option pop"
                     : "+r"(a0)
                     : "r"(a1)
                     : "memory");
    return (int32_t)a0;
}

static int32_t opened(const char *name, uint32_t length, uint32_t mode)
{
    const uint32_t words[3] = {(uint32_t)name, mode, length};
    return host(1, words);
}

/* Bytes that could not be read or written. */
static int32_t moved(uint32_t call, int32_t file, const void *at, uint32_t bytes)
{
    const uint32_t words[3] = {(uint32_t)file, (uint32_t)at, bytes};
    return host(call, words);
}

static void stop(int failed)
{
    (void)host(0x18, (const void *)(failed ? 0x20023u : 0x20026u));
    for (;;)
        ;
}

static void load_weights(void)
{
    const int32_t file = opened("weights.bin", 11, 1);

    if (file < 0)
        stop(1);
    for (uint32_t at = 0; at < NET_L3; at += BLOCK) {
        const uint32_t bytes = NET_L3 - at < BLOCK ? NET_L3 - at : BLOCK;
        if (moved(6, file, block, bytes))
            stop(1);
        hyper((uint32_t)block, at, bytes, 0);
        hyper_wait();
    }
}

int fabric_main(void)
{
    REG(FC_ICACHE) = 0xffffffffu;
    REG(CLUSTER_ICACHE) = 0xffffffffu;
    REG(UDMA_GATES) = 0xffffffffu;
    REG(HYPER_SELECT) = 0;
    REG(HYPER_LATENCY) = 6;
    load_weights();
    for (int core = 0; core <= MF_CORES; core++)
        REG(CLUSTER_BOOT(core)) = (uint32_t)_start;
    REG(CLUSTER_FETCH) = TEAM;

    const int32_t windows = opened("windows.bin", 11, 1);
    const int32_t outputs = opened("outputs.bin", 11, 5), costs = opened("cycles.bin", 10, 5);
    if (windows < 0 || outputs < 0 || costs < 0)
        stop(1);
#ifdef NET_LONGEST /* utterances, each behind its length */
    int32_t length = 0, frames;
    while (moved(6, windows, &length, 4) == 0 && (frames = net_begin(length)) > 0 &&
           moved(6, windows, net_input(), (uint32_t)(length * NET_CHANNELS)) == 0) {
        const uint32_t bytes = (uint32_t)frames * NET_FEATURES * sizeof(NET_OUTPUT_TYPE);
#else
    while (moved(6, windows, net_input(), NET_INPUT) == 0) {
        const uint32_t bytes = NET_OUTPUT_BYTES;
#endif
        ready = 0;
        go = 1;
        while (!ready)
            ;
        if (moved(5, outputs, result, bytes) || moved(5, costs, cycles, sizeof cycles))
            stop(1);
    }
    stop(0);
    return 0;
}
