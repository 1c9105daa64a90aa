/* SPDX-License-Identifier: MIT
 * schema.h - openapi.json, and whether values are as its schemas say. Knows as much of JSON Schema
 * as the document uses: $ref, type, properties, required, additionalProperties, enum, items, oneOf,
 * minimum, maximum, minItems, maxItems, maxLength, pattern, format uuid and date-time. */
#ifndef WEFT_TESTS_SERVE_SCHEMA_H
#define WEFT_TESTS_SERVE_SCHEMA_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* The document, loaded once. */
const json_t *openapi(void);

/* What a $ref leads to; anything else is itself. */
const json_t *openapi_resolve(const json_t *value);

/* The operation that a request's path belongs to; NULL: there is none. */
const json_t *openapi_operation(const char *method, const char *path);

/* The schema of an answer's body; *ret_known: whether the status is documented. NULL: no body. */
const json_t *openapi_answer(const json_t *operation, int status, bool *ret_known);

/* Whether a value is as a schema says; if not, why. */
bool schema_check(const json_t *schema, const json_t *value, char *why, size_t why_bytes);

#endif
