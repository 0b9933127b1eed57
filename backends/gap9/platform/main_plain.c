/* Runs windows of int8 from a file through the network: net WEIGHTS WINDOWS > OUTPUTS, raw numbers in and out. */
#include <stdio.h>

#include "network.h"

extern const uint8_t *mf_l3;

int main(int count, char **words)
{
    FILE *weights = count == 3 ? fopen(words[1], "rb") : NULL;
    FILE *windows = count == 3 ? fopen(words[2], "rb") : NULL;
    static uint8_t l3[NET_L3 + 1];

    if (!weights || !windows) {
        fprintf(stderr, "usage: net weights.bin windows.bin > outputs.bin\n");
        if (weights)
            fclose(weights);
        if (windows)
            fclose(windows);
        return 2;
    }
    if (fread(l3, 1, NET_L3, weights) != NET_L3) {
        fprintf(stderr, "%s is shorter than %d bytes\n", words[1], NET_L3);
        fclose(weights);
        fclose(windows);
        return 1;
    }
    mf_l3 = l3;
#ifdef NET_LONGEST /* utterances, each behind its length */
    for (int32_t length; fread(&length, sizeof length, 1, windows) == 1;) {
        const size_t frames = (size_t)net_begin(length), samples = (size_t)length * NET_CHANNELS;
        if (!frames || fread(net_input(), 1, samples, windows) != samples ||
            fwrite(net_run(), sizeof(NET_OUTPUT_TYPE) * NET_FEATURES, frames, stdout) != frames)
            break;
    }
#else
    while (fread(net_input(), 1, NET_INPUT, windows) == NET_INPUT) {
        const void *y = net_run();
        if (fwrite(y, NET_OUTPUT_BYTES, 1, stdout) != 1)
            break;
    }
#endif
    fclose(weights);
    fclose(windows);
    return ferror(stdout) != 0;
}
