/* mf_dots and mf_dotsu in XpulpV2 instructions, written as .insn so that any RISC-V assembler takes them (-DMF_XPULP).
 *
 * Four rows by four columns at a time: 8 loads and 16 products of four bytes, 64 products in 24 cycles, without a stall
 * or a branch. The sixteen sums, the operands and the pointers take all 28 registers that a function has, which is
 * why this is not C. A load steps its pointer by a register: from row to row, and from the last row back to the next
 * word of the first. */
#if defined(MF_XPULP)

    .text

/* lp.setup x0, count, end: what follows up to `end` (2 bytes a unit from here) is repeated without a branch */
.macro repeat count, instructions
    .insn i 0x7b, 4, x0, \count, 2 * \instructions
.endm

.macro load_word rd, step, at           /* p.lw rd, step(at!) */
    .insn r 0x0b, 7, 0x10, \rd, \at, \step
.endm

.macro load_byte rd, step, at           /* p.lb */
    .insn r 0x0b, 7, 0x00, \rd, \at, \step
.endm

.macro load_ubyte rd, step, at          /* p.lbu */
    .insn r 0x0b, 7, 0x20, \rd, \at, \step
.endm

.macro dot sum, x, w                    /* pv.sdotsp.b: sum += four products */
    .insn r 0x57, 1, 0x5c, \sum, \x, \w
.endm

.macro dot_unsigned sum, x, w           /* pv.sdotusp.b: x without a sign */
    .insn r 0x57, 1, 0x54, \sum, \x, \w
.endm

.macro accumulate sum, x, w             /* p.mac */
    .insn r 0x33, 0, 0x21, \sum, \x, \w
.endm

/* 24 instructions: x of four rows to t0..t3, w of four columns through t4 and t5, sums of row 0 in s0..s3, of row 1 in
 * s4..s7, of row 2 in s8..s11, of row 3 in a6, a7, t6, ra */
.macro turn load_x, load_w, product
    .option push
    .option norvc
    \load_x t0, a1, a0
    \load_x t1, a1, a0
    \load_x t2, a1, a0
    \load_x t3, a4, a0
    \load_w t4, a3, a2
    \load_w t5, a3, a2
    \product s0, t0, t4
    \product s4, t1, t4
    \product s8, t2, t4
    \product a6, t3, t4
    \load_w t4, a3, a2
    \product s1, t0, t5
    \product s5, t1, t5
    \product s9, t2, t5
    \product a7, t3, t5
    \load_w t5, a5, a2
    \product s2, t0, t4
    \product s6, t1, t4
    \product s10, t2, t4
    \product t6, t3, t4
    \product s3, t0, t5
    \product s7, t1, t5
    \product s11, t2, t5
    \product ra, t3, t5
    .option pop
.endm

/* a0 x, a1 step, a2 w, a3 stride, a4 taps, a5 start, a6 y, a7 across */
.macro dots name, load_x, product
    .globl \name
    .type \name, @function
    .balign 16
\name:
    addi sp, sp, -64
    sw s0, 0(sp)
    sw s1, 4(sp)
    sw s2, 8(sp)
    sw s3, 12(sp)
    sw s4, 16(sp)
    sw s5, 20(sp)
    sw s6, 24(sp)
    sw s7, 28(sp)
    sw s8, 32(sp)
    sw s9, 36(sp)
    sw s10, 40(sp)
    sw s11, 44(sp)
    sw ra, 48(sp)
    sw a6, 52(sp)
    sw a7, 56(sp)
    srli t0, a4, 2
    andi t1, a4, 3
    sw t1, 60(sp)
    lw s0, 0(a5)
    lw s1, 4(a5)
    lw s2, 8(a5)
    lw s3, 12(a5)
    slli a4, a1, 1
    add a4, a4, a1
    sub a4, zero, a4
    addi a4, a4, 4          /* from the last row back, and a word on */
    slli a5, a3, 1
    add a5, a5, a3
    sub a5, zero, a5
    addi a5, a5, 4
    mv s4, s0
    mv s5, s1
    mv s6, s2
    mv s7, s3
    mv s8, s0
    mv s9, s1
    mv s10, s2
    mv s11, s3
    mv a6, s0
    mv a7, s1
    mv t6, s2
    mv ra, s3
    beqz t0, 1f
    repeat t0, 24
    turn \load_x\()_word, load_word, \product
1:  lw t0, 60(sp)
    beqz t0, 2f
    addi a4, a4, -3         /* the last one to three, byte by byte */
    addi a5, a5, -3
    repeat t0, 24
    turn \load_x\()_byte, load_byte, accumulate
2:  lw t0, 52(sp)
    lw t1, 56(sp)
    slli t1, t1, 2
    sw s0, 0(t0)
    sw s1, 4(t0)
    sw s2, 8(t0)
    sw s3, 12(t0)
    add t0, t0, t1
    sw s4, 0(t0)
    sw s5, 4(t0)
    sw s6, 8(t0)
    sw s7, 12(t0)
    add t0, t0, t1
    sw s8, 0(t0)
    sw s9, 4(t0)
    sw s10, 8(t0)
    sw s11, 12(t0)
    add t0, t0, t1
    sw a6, 0(t0)
    sw a7, 4(t0)
    sw t6, 8(t0)
    sw ra, 12(t0)
    lw s0, 0(sp)
    lw s1, 4(sp)
    lw s2, 8(sp)
    lw s3, 12(sp)
    lw s4, 16(sp)
    lw s5, 20(sp)
    lw s6, 24(sp)
    lw s7, 28(sp)
    lw s8, 32(sp)
    lw s9, 36(sp)
    lw s10, 40(sp)
    lw s11, 44(sp)
    lw ra, 48(sp)
    addi sp, sp, 64
    ret
    .size \name, . - \name
.endm

.macro signed_word rd, step, at
    load_word \rd, \step, \at
.endm
.macro signed_byte rd, step, at
    load_byte \rd, \step, \at
.endm
.macro unsigned_word rd, step, at
    load_word \rd, \step, \at
.endm
.macro unsigned_byte rd, step, at
    load_ubyte \rd, \step, \at
.endm

    dots mf_dots, signed, dot
    dots mf_dotsu, unsigned, dot_unsigned

#endif
