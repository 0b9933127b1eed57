/* Every core begins here: the fabric controller (cluster 31), then the nine cores of the cluster, each on its stack. */
    .option arch, +zicsr
    .section .start, "ax"
    .globl _start
_start:
    csrr t0, mhartid
    andi a0, t0, 31         /* core */
    srli t0, t0, 5          /* cluster */
    bnez t0, fabric
    li t1, MF_CORES
    beq a0, t1, controller
    addi t2, a0, 1
    li t3, WORKER_STACK
    mul t2, t2, t3
    la sp, worker_stacks
    add sp, sp, t2
    j cluster_main
controller:
    la sp, controller_stack
    j cluster_main
fabric:
    la sp, fabric_stack
    la t0, bss_begin
    la t1, bss_end
1:  bgeu t0, t1, 2f
    sw zero, 0(t0)
    addi t0, t0, 4
    j 1b
2:  j fabric_main

    .section .l1, "aw"
    .balign 16
worker_stacks:
    .space MF_CORES * WORKER_STACK
    .space CONTROLLER_STACK
    .globl controller_stack
controller_stack:
