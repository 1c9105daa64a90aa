/* SPDX-License-Identifier: MIT
 * sqlite_control.c - what people do to jobs and queues, inside the transaction: cancel, begin
 * again, settings; and schedules that fire. */
#include "sqlite_internal.h"

// clang-format off
const struct sqlite_text weft_sqlite_texts_control[] = {
    {SQL_STATEMENTS, NULL},
};
// clang-format on
