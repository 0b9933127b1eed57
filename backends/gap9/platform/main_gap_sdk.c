/* One window on the chip: parameters from flash to RAM, then the network on the cluster. */
#include "pmsis.h"

#include "bsp/bsp.h"
#include "bsp/fs/hostfs.h"
#include "bsp/ram.h"

#include "network.h"

extern struct pi_device *mf_ram;
extern uint32_t mf_l3_base;

static struct pi_device ram, cluster, files;
static PI_L2 uint8_t block[4096];

static void whole(void *argument)
{
    (void)argument;
#ifdef NET_LONGEST
    (void)net_begin(NET_LONGEST);
#endif
    const NET_OUTPUT_TYPE *y = net_run();
    for (int i = 0; i < NET_OUTPUT; i++)
        printf("%d\n", (int)y[i]);
}

int main(void)
{
    struct pi_default_ram_conf ram_conf;
    struct pi_hostfs_conf file_conf;
    struct pi_cluster_conf cluster_conf;
    struct pi_cluster_task task;

    pi_default_ram_conf_init(&ram_conf);
    pi_open_from_conf(&ram, &ram_conf);
    pi_hostfs_conf_init(&file_conf);
    pi_open_from_conf(&files, &file_conf);
    if (pi_ram_open(&ram) || pi_fs_mount(&files) || pi_ram_alloc(&ram, &mf_l3_base, NET_L3))
        return 1;
    pi_fs_file_t *file = pi_fs_open(&files, "weights.bin", 0);
    for (uint32_t at = 0; file && at < NET_L3; at += sizeof block)
        pi_ram_write(&ram, mf_l3_base + at, block, (uint32_t)pi_fs_read(file, block, sizeof block));
    mf_ram = &ram;
    pi_cluster_conf_init(&cluster_conf);
    pi_open_from_conf(&cluster, &cluster_conf);
    if (!file || pi_cluster_open(&cluster))
        return 1;
    pi_cluster_send_task(&cluster, pi_cluster_task(&task, whole, NULL));
    pi_cluster_close(&cluster);
    return 0;
}
