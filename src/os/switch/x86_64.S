/* SPDX-License-Identifier: MIT
 * x86_64.S - the switch for the System V ABI.
 *
 * Callee-saved are rbx, rbp, r12-r15, rsp, the control bits of MXCSR and the x87 control word.
 * Frame of a context that is not running, from its saved stack pointer upwards:
 *     0  MXCSR (4 bytes), x87 control word (2 bytes), unused
 *     8  r15, r14, r13, r12, rbx, rbp
 *    56  address to go on at
 * No GNU property note: shadow stacks must stay off, a switch would trip over them. */
        .text

/* void weft_context_swap(void **save_sp, void *load_sp) */
        .globl  weft_context_swap
        .hidden weft_context_swap
        .type   weft_context_swap, @function
        .p2align 4
weft_context_swap:
        .cfi_startproc
        endbr64
        pushq   %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbp, 0
        pushq   %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbx, 0
        pushq   %r12
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r12, 0
        pushq   %r13
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r13, 0
        pushq   %r14
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r14, 0
        pushq   %r15
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r15, 0
        subq    $8, %rsp
        .cfi_adjust_cfa_offset 8
        stmxcsr (%rsp)
        fnstcw  4(%rsp)

        movq    %rsp, (%rdi)
        movq    %rsi, %rsp              /* the frame has the same shape on the other stack */

        ldmxcsr (%rsp)
        fldcw   4(%rsp)
        addq    $8, %rsp
        .cfi_adjust_cfa_offset -8
        popq    %r15
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r15
        popq    %r14
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r14
        popq    %r13
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r13
        popq    %r12
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r12
        popq    %rbx
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbx
        popq    %rbp
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbp
        /* ret, not jmp: nearly every switch comes from the same call in the scheduler, so the
           return predictor is right here, and stays in step for the returns that follow. */
        ret
        .cfi_endproc
        .size   weft_context_swap, . - weft_context_swap

/* First code on a new stack: r12 is the entry function, r13 its argument. Unwinders stop here. */
        .globl  weft_context_start
        .hidden weft_context_start
        .type   weft_context_start, @function
        .p2align 4
weft_context_start:
        .cfi_startproc
        .cfi_undefined %rip
        endbr64
        xorl    %ebp, %ebp
        movq    %r13, %rdi
        callq   *%r12
        ud2
        .cfi_endproc
        .size   weft_context_start, . - weft_context_start

/* void *weft_context_prepare(void *bottom, size_t size, void (*entry)(void *), void *arg) */
        .globl  weft_context_prepare
        .hidden weft_context_prepare
        .type   weft_context_prepare, @function
        .p2align 4
weft_context_prepare:
        .cfi_startproc
        endbr64
        leaq    (%rdi, %rsi), %rax
        andq    $-16, %rax
        leaq    weft_context_start(%rip), %r8
        movq    %r8, -8(%rax)           /* popped first: the start runs on an aligned stack */
        movq    $0, -16(%rax)           /* rbp: the end of the frame chain */
        movq    $0, -24(%rax)           /* rbx */
        movq    %rdx, -32(%rax)         /* r12 */
        movq    %rcx, -40(%rax)         /* r13 */
        movq    $0, -48(%rax)           /* r14 */
        movq    $0, -56(%rax)           /* r15 */
        subq    $64, %rax
        stmxcsr (%rax)                  /* a fiber begins with its creator's rounding modes */
        fnstcw  4(%rax)
        ret
        .cfi_endproc
        .size   weft_context_prepare, . - weft_context_prepare

        .section .note.GNU-stack, "", @progbits
