/* Runs raw samples from a file through filters and network: pipe WEIGHTS SAMPLES > SCORES; samples are int32, all channels
 * of one time after another. */
#include <stdio.h>

#include "pipeline.h"

extern const uint8_t *mf_l3;

int main(int count, char **words)
{
    FILE *weights = count == 3 ? fopen(words[1], "rb") : NULL;
    FILE *samples = count == 3 ? fopen(words[2], "rb") : NULL;
    static uint8_t l3[NET_L3 + 1];
    int32_t sample[PIPE_CHANNELS];

    if (!weights || !samples || fread(l3, 1, NET_L3, weights) != NET_L3) {
        fprintf(stderr, "usage: pipe weights.bin samples.bin > scores.bin\n");
        if (weights)
            fclose(weights);
        if (samples)
            fclose(samples);
        return 2;
    }
    mf_l3 = l3;
    while (fread(sample, sizeof sample, 1, samples) == 1) {
        const void *scores = pipe_push(sample);
        if (scores && fwrite(scores, NET_OUTPUT_BYTES, 1, stdout) != 1)
            break;
    }
    fclose(weights);
    fclose(samples);
    return ferror(stdout) != 0;
}
