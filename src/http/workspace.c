/* SPDX-License-Identifier: MIT
 * workspace.c - see workspace.h. */
#include <http/workspace.h>

#include <stdlib.h>

void weft_http_workspaces_init(struct weft_http_workspaces *workspaces, size_t header_bytes_max,
                               size_t body_bytes_max)
{
    /* A message at its limits, one more read behind it, and a NUL: it cannot overflow. */
    *workspaces = (struct weft_http_workspaces){.in_bytes_max = header_bytes_max + body_bytes_max +
                                                                WEFT_HTTP_BODY_READ_BYTES + 1};
}

static void free_workspace(struct weft_http_workspace *workspace)
{
    weft_buffer_deinit(&workspace->in);
    weft_buffer_deinit(&workspace->out);
    weft_http_exchange_deinit(&workspace->exchange);
    free(workspace);
}

void weft_http_workspaces_deinit(struct weft_http_workspaces *workspaces)
{
    while (workspaces->spare) {
        struct weft_http_workspace *workspace = workspaces->spare;
        workspaces->spare = workspace->next;
        free_workspace(workspace);
    }
    workspaces->spare_count = 0;
}

struct weft_http_workspace *weft_http_workspace_take(struct weft_http_workspaces *workspaces)
{
    struct weft_http_workspace *workspace = workspaces->spare;
    if (workspace) {
        workspaces->spare = workspace->next;
        workspaces->spare_count--;
        return workspace;
    }
    workspace = malloc(sizeof *workspace);
    if (!workspace)
        return NULL;
    weft_buffer_init(&workspace->in, workspaces->in_bytes_max);
    weft_buffer_init(&workspace->out, 2 * WEFT_HTTP_REPLY_BYTES_MAX);
    workspace->at = 0;
    weft_http_exchange_init(&workspace->exchange, &workspace->out);
    return workspace;
}

static void shrink(struct weft_buffer *buffer)
{
    if (buffer->capacity > WEFT_HTTP_KEPT_BYTES_MAX)
        weft_buffer_deinit(buffer);
    weft_buffer_clear(buffer);
}

void weft_http_workspace_give(struct weft_http_workspaces *workspaces,
                              struct weft_http_workspace *workspace)
{
    if (!workspace)
        return;
    if (workspaces->spare_count == WEFT_HTTP_SPARE_MAX) {
        free_workspace(workspace);
        return;
    }
    shrink(&workspace->in);
    shrink(&workspace->out);
    shrink(&workspace->exchange.fields);
    shrink(&workspace->exchange.params);
    shrink(&workspace->exchange.query);
    shrink(&workspace->exchange.detail);
    workspace->at = 0;
    workspace->next = workspaces->spare;
    workspaces->spare = workspace;
    workspaces->spare_count++;
}
