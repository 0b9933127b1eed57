/* Platform for RV32 in QEMU's user mode, without a C library: weights.bin from the folder it runs in, inputs from standard
 * input, and to standard output every layer's number, bytes and values. Used with plain.c. */
#include "../mf.h"

#include "network.h"

enum { STDIN = 0, STDOUT = 1, OPENAT = 56, READ = 63, WRITE = 64, EXIT = 93, HERE = -100 };

extern const uint8_t *mf_l3;
extern void (*mf_watch)(int layer, const void *output, uint32_t bytes);

static uint8_t l3[NET_L3 + 8] __attribute__((aligned(16)));

static int32_t ask(int32_t call, int32_t a, int32_t b, int32_t c)
{
    register int32_t a0 __asm__("a0") = a;
    register int32_t a1 __asm__("a1") = b;
    register int32_t a2 __asm__("a2") = c;
    register int32_t a3 __asm__("a3") = 0;
    register int32_t a7 __asm__("a7") = call;

    __asm__ volatile("ecall" : "+r"(a0) : "r"(a1), "r"(a2), "r"(a3), "r"(a7) : "memory");
    return a0;
}

/* All of it, or 0 where it ends before. */
static int moved(int32_t call, int32_t file, const void *at, uint32_t bytes)
{
    for (uint32_t done = 0; done < bytes;) {
        const int32_t now = ask(call, file, (int32_t)at + (int32_t)done, (int32_t)(bytes - done));
        if (now <= 0)
            return 0;
        done += (uint32_t)now;
    }
    return 1;
}

static void watch(int layer, const void *output, uint32_t bytes)
{
    const uint32_t head[2] = {(uint32_t)layer, bytes};

    if (!moved(WRITE, STDOUT, head, sizeof head) || !moved(WRITE, STDOUT, output, bytes))
        ask(EXIT, 3, 0, 0);
}

void _start(void)
{
    const int32_t file = ask(OPENAT, HERE, (int32_t)"weights.bin", 0);

    if (file < 0 || !moved(READ, file, l3, NET_L3))
        ask(EXIT, 2, 0, 0);
    mf_l3 = l3;
    mf_watch = watch;
#ifdef NET_LONGEST /* utterances, each behind its length */
    for (int32_t length = 0; moved(READ, STDIN, &length, 4) && net_begin(length) &&
                         moved(READ, STDIN, net_input(), (uint32_t)(length * NET_CHANNELS));)
        (void)net_run();
#else
    while (moved(READ, STDIN, net_input(), NET_INPUT))
        (void)net_run();
#endif
    ask(EXIT, 0, 0, 0);
}
