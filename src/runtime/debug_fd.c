/* SPDX-License-Identifier: MIT
 * debug_fd.c - descriptors that calls of weft made and nobody closed. See debug.h.
 *
 * One table for all workers: a connection may be closed by another than the one that took it. A
 * descriptor closed without weft_close is told by its number being free, or another file. */
#include <runtime/debug.h>

#include <execinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FRAMES_MAX  10
#define FRAMES_OURS 2 /* weft_debug_fd_made, weft_fd_made */
#define SHOWN_MAX   20u

struct weft_made_fd {
    bool open;
    dev_t device;
    ino_t inode;
    int frames_len;
    void *frames[FRAMES_MAX];
};

static bool grow(struct weft_debug *debug, size_t len)
{
    if (len <= debug->fds_len)
        return true;
    size_t wanted = len < 64 ? 64 : len * 2;
    struct weft_made_fd *fds = realloc(debug->fds, wanted * sizeof *fds);
    if (!fds)
        return false;
    memset(fds + debug->fds_len, 0, (wanted - debug->fds_len) * sizeof *fds);
    debug->fds = fds;
    debug->fds_len = wanted;
    return true;
}

/* Never inlined, so that FRAMES_OURS is right. */
__attribute__((noinline)) void weft_debug_fd_made(struct weft_debug *debug, int fd)
{
    struct stat file;
    struct weft_made_fd made = {.open = true};
    if (fd < 0 || fstat(fd, &file) < 0)
        return;
    made.device = file.st_dev;
    made.inode = file.st_ino;
    made.frames_len = backtrace(made.frames, FRAMES_MAX);
    weft_lock(&debug->fds_lock);
    if (grow(debug, (size_t)fd + 1)) /* no memory: then it is not reported */
        debug->fds[fd] = made;
    weft_unlock(&debug->fds_lock);
}

void weft_debug_fd_closed(struct weft_debug *debug, int fd)
{
    weft_lock(&debug->fds_lock);
    if (fd >= 0 && (size_t)fd < debug->fds_len)
        debug->fds[fd].open = false;
    weft_unlock(&debug->fds_lock);
}

static bool still_open(const struct weft_made_fd *made, int fd)
{
    struct stat file;
    return made->open && fstat(fd, &file) == 0 && file.st_dev == made->device &&
           file.st_ino == made->inode;
}

void weft_debug_report_fds(struct weft_debug *debug)
{
    struct weft_buffer text;
    unsigned found = 0;
    weft_buffer_init(&text, SIZE_MAX / 4);
    for (size_t fd = 0; fd < debug->fds_len; fd++) {
        const struct weft_made_fd *made = &debug->fds[fd];
        if (!still_open(made, (int)fd) || ++found > SHOWN_MAX)
            continue;
        weft_buffer_append_format(&text, "weft: descriptor %zu was not closed; it was made by\n",
                                  fd);
        weft_debug_append_frames(&text, made->frames + FRAMES_OURS, made->frames_len - FRAMES_OURS,
                                 false);
    }
    if (found > SHOWN_MAX)
        weft_buffer_append_format(&text, "weft: ... and %u more descriptors\n", found - SHOWN_MAX);
    weft_debug_say(&text);
    weft_buffer_deinit(&text);
}
