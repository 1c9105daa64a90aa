/* SPDX-License-Identifier: MIT
 * aarch64.S - the switch for AAPCS64.
 *
 * Callee-saved are x19-x28, x29 (frame), x30 (link), sp, the low halves of v8-v15, and FPCR.
 * Frame of a context that is not running, from its saved stack pointer upwards:
 *     0  x19-x28        80  x29, x30        96  d8-d15        160  FPCR, unused */
        .text

#define FRAME 176

/* void weft_context_swap(void **save_sp, void *load_sp) */
        .globl  weft_context_swap
        .hidden weft_context_swap
        .type   weft_context_swap, %function
        .p2align 4
weft_context_swap:
        .cfi_startproc
        hint    #34                     /* bti c */
        sub     sp, sp, #FRAME
        .cfi_def_cfa_offset FRAME
        stp     x19, x20, [sp, #0]
        stp     x21, x22, [sp, #16]
        stp     x23, x24, [sp, #32]
        stp     x25, x26, [sp, #48]
        stp     x27, x28, [sp, #64]
        stp     x29, x30, [sp, #80]
        .cfi_rel_offset x29, 80
        .cfi_rel_offset x30, 88
        stp     d8, d9, [sp, #96]
        stp     d10, d11, [sp, #112]
        stp     d12, d13, [sp, #128]
        stp     d14, d15, [sp, #144]
        mrs     x9, fpcr
        str     x9, [sp, #160]

        mov     x9, sp
        str     x9, [x0]
        mov     sp, x1

        ldp     x19, x20, [sp, #0]
        ldp     x21, x22, [sp, #16]
        ldp     x23, x24, [sp, #32]
        ldp     x25, x26, [sp, #48]
        ldp     x27, x28, [sp, #64]
        ldp     x29, x30, [sp, #80]
        .cfi_restore x29
        .cfi_restore x30
        ldp     d8, d9, [sp, #96]
        ldp     d10, d11, [sp, #112]
        ldp     d12, d13, [sp, #128]
        ldp     d14, d15, [sp, #144]
        ldr     x9, [sp, #160]
        msr     fpcr, x9
        add     sp, sp, #FRAME
        .cfi_def_cfa_offset 0
        ret                             /* not br: see x86_64.S, and BTI traps it */
        .cfi_endproc
        .size   weft_context_swap, . - weft_context_swap

/* First code on a new stack: x19 is the entry function, x20 its argument. Unwinders stop here. */
        .globl  weft_context_start
        .hidden weft_context_start
        .type   weft_context_start, %function
        .p2align 4
weft_context_start:
        .cfi_startproc
        .cfi_undefined x30
        hint    #36                     /* bti j: reached by br */
        mov     x29, xzr
        mov     x30, xzr
        mov     x0, x20
        blr     x19
        brk     #1
        .cfi_endproc
        .size   weft_context_start, . - weft_context_start

/* void *weft_context_prepare(void *bottom, size_t size, void (*entry)(void *), void *arg) */
        .globl  weft_context_prepare
        .hidden weft_context_prepare
        .type   weft_context_prepare, %function
        .p2align 4
weft_context_prepare:
        .cfi_startproc
        hint    #34
        add     x9, x0, x1
        and     x9, x9, #-16
        sub     x9, x9, #FRAME
        stp     x2, x3, [x9, #0]        /* x19, x20 */
        stp     xzr, xzr, [x9, #16]
        stp     xzr, xzr, [x9, #32]
        stp     xzr, xzr, [x9, #48]
        stp     xzr, xzr, [x9, #64]
        adrp    x10, weft_context_start
        add     x10, x10, :lo12:weft_context_start
        stp     xzr, x10, [x9, #80]     /* x29: the end of the frame chain; x30 */
        stp     xzr, xzr, [x9, #96]
        stp     xzr, xzr, [x9, #112]
        stp     xzr, xzr, [x9, #128]
        stp     xzr, xzr, [x9, #144]
        mrs     x10, fpcr               /* a fiber begins with its creator's rounding modes */
        stp     x10, xzr, [x9, #160]
        mov     x0, x9
        ret
        .cfi_endproc
        .size   weft_context_prepare, . - weft_context_prepare

        .section .note.GNU-stack, "", %progbits
