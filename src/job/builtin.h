/* SPDX-License-Identifier: MIT
 * builtin.h - tasks that are always there: to try the service, to test it, to measure it.
 *
 *     noop     completes at once, with null
 *     sleep    {"seconds": 1.5}: sleeps so long, and completes with null
 *     fail     {"times": 2, "error": "..."}: its first attempts fail, with these words; without
 *              "times" all of them
 *     process  {"text": "..."}: takes three steps and answers with
 *              {"step1_result": "fun_1", "step2_result": "fun_2",
 *               "final_result": "processed_..._fun_1_fun_2"} */
#ifndef WEFT_JOB_BUILTIN_H
#define WEFT_JOB_BUILTIN_H

#include <weft/task.h>

#define WEFT_BUILTINS 4u

/* How long the three steps of "process" take, in ns: 2 s, 1 s, 0.5 s. */
extern const int64_t weft_process_steps_ns[3];

/* Fill in the handlers.
 *
 * steps_ns  three, for "process"; borrowed as long as the handlers are used */
void weft_builtin_handlers(struct weft_handler handlers[WEFT_BUILTINS], const int64_t *steps_ns);

#endif
