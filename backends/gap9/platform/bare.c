/* What a bare machine lacks of a C library. */
#include <stddef.h>

void *memcpy(void *to, const void *from, size_t n)
{
    unsigned char *t = to;
    const unsigned char *f = from;

    if ((((size_t)t | (size_t)f) & 3) == 0)
        for (; n >= 4; n -= 4, t += 4, f += 4)
            *(unsigned *)(void *)t = *(const unsigned *)(const void *)f;
    while (n--)
        *t++ = *f++;
    return to;
}

void *memset(void *to, int value, size_t n)
{
    unsigned char *t = to;

    while (n--)
        *t++ = (unsigned char)value;
    return to;
}

/* 64-bit division, for compilers that come without a library of their own. */
unsigned long long __udivdi3(unsigned long long a, unsigned long long b)
{
    unsigned long long quotient = 0, rest = 0;

    for (int i = 63; i >= 0; i--) {
        rest = rest << 1 | (a >> i & 1);
        if (rest >= b) {
            rest -= b;
            quotient |= 1ull << i;
        }
    }
    return quotient;
}
