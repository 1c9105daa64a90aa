/* SPDX-License-Identifier: MIT
 * fault.c - see fault.h. The files are a VFS in front of SQLite's own. */
#include "fault.h"

#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXTS_MAX 256

/* Faults happen on the writer's thread, on those that read and on the test's. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    const char *sql, *then_sql;
    int statement_code, then_code;
    bool undoes;
    unsigned long allocation; /* until it fails; 0: none will */
    enum fault_file kind;
    unsigned long operation, more;
    int operation_code;
    bool loose, fired;
} fault = {.loose = true};
static char *texts[TEXTS_MAX];
static size_t texts_count;
static bool noting;

int __real_sqlite3_step(sqlite3_stmt *statement);
int __wrap_sqlite3_step(sqlite3_stmt *statement);
void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__real_calloc(size_t len, size_t bytes);
void *__wrap_calloc(size_t len, size_t bytes);
void *__real_realloc(void *memory, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);

/* --- statements --- */

static bool is_noted(const char *sql)
{
    for (size_t i = 0; i < texts_count; i++)
        if (strcmp(texts[i], sql) == 0)
            return true;
    return false;
}

/* Returns the code to give; SQLITE_OK: none. */
static int admit_statement(sqlite3_stmt *statement, bool *ret_undoes)
{
    const char *sql = sqlite3_sql(statement);
    (void)pthread_mutex_lock(&lock);
    if (noting && fault.loose && sql && !is_noted(sql) && texts_count < TEXTS_MAX) {
        size_t bytes = strlen(sql) + 1;
        char *copy = __real_malloc(bytes);
        if (copy)
            texts[texts_count++] = memcpy(copy, sql, bytes);
    }
    bool fails = fault.loose && fault.sql && sql && strcmp(fault.sql, sql) == 0;
    int code = fails ? fault.statement_code : SQLITE_OK;
    *ret_undoes = fault.undoes;
    if (fails) {
        fault.sql = fault.then_sql;
        fault.statement_code = fault.then_code;
        fault.then_sql = NULL;
        fault.fired = true;
    }
    (void)pthread_mutex_unlock(&lock);
    return code;
}

int __wrap_sqlite3_step(sqlite3_stmt *statement)
{
    bool undoes;
    int code = admit_statement(statement, &undoes);
    if (!code)
        return __real_sqlite3_step(statement);
    sqlite3 *db = sqlite3_db_handle(statement);
    if (undoes && !sqlite3_get_autocommit(db))
        (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return code;
}

void fault_statement(const char *sql, int code, bool undoes)
{
    (void)pthread_mutex_lock(&lock);
    fault.sql = sql;
    fault.statement_code = code;
    fault.undoes = undoes;
    fault.then_sql = NULL;
    fault.fired = false;
    (void)pthread_mutex_unlock(&lock);
}

void fault_statement_then(const char *sql, int code)
{
    (void)pthread_mutex_lock(&lock);
    fault.then_sql = sql;
    fault.then_code = code;
    (void)pthread_mutex_unlock(&lock);
}

void fault_note_statements(void)
{
    (void)pthread_mutex_lock(&lock);
    noting = true;
    (void)pthread_mutex_unlock(&lock);
}

bool fault_was_run(const char *sql)
{
    (void)pthread_mutex_lock(&lock);
    bool run = is_noted(sql);
    (void)pthread_mutex_unlock(&lock);
    return run;
}

/* --- allocations --- */

static bool allocation_fails(void)
{
    bool fails = false;
    if (__atomic_load_n(&fault.allocation, __ATOMIC_RELAXED) == 0)
        return false;
    (void)pthread_mutex_lock(&lock);
    if (fault.loose && fault.allocation > 0) {
        fails = fault.allocation == 1;
        __atomic_store_n(&fault.allocation, fault.allocation - 1, __ATOMIC_RELAXED);
        fault.fired = fault.fired || fails;
    }
    (void)pthread_mutex_unlock(&lock);
    return fails;
}

void *__wrap_malloc(size_t bytes)
{
    return allocation_fails() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t len, size_t bytes)
{
    return allocation_fails() ? NULL : __real_calloc(len, bytes);
}

void *__wrap_realloc(void *memory, size_t bytes)
{
    return allocation_fails() ? NULL : __real_realloc(memory, bytes);
}

void fault_allocation(unsigned long at)
{
    (void)pthread_mutex_lock(&lock);
    __atomic_store_n(&fault.allocation, at, __ATOMIC_RELAXED);
    fault.fired = false;
    (void)pthread_mutex_unlock(&lock);
}

static sqlite3_mem_methods memory;

static void *sqlite_malloc(int bytes)
{
    return allocation_fails() ? NULL : memory.xMalloc(bytes);
}

static void *sqlite_realloc(void *allocated, int bytes)
{
    return allocation_fails() ? NULL : memory.xRealloc(allocated, bytes);
}

/* --- files --- */

struct file {
    sqlite3_file file; /* first */
    char *path;        /* of a database or its log; NULL: of something else */
    sqlite3_file *inner;
};

static sqlite3_vfs files;
static sqlite3_vfs *system_files;
static sqlite3_io_methods methods;

static struct file *file_of(sqlite3_file *file)
{
    return (struct file *)(void *)file;
}

static int admit_file(enum fault_file kind)
{
    int code = SQLITE_OK;
    (void)pthread_mutex_lock(&lock);
    if (fault.loose && fault.operation > 0 && fault.kind == kind && --fault.operation == 0) {
        code = fault.operation_code;
        fault.fired = true;
        if (fault.more > 0) {
            fault.more--;
            fault.operation = 1;
        }
    }
    (void)pthread_mutex_unlock(&lock);
    return code;
}

void fault_file(enum fault_file kind, unsigned long at, unsigned long more, int code)
{
    (void)pthread_mutex_lock(&lock);
    fault.kind = kind;
    fault.operation = at;
    fault.more = more;
    fault.operation_code = code;
    fault.fired = false;
    (void)pthread_mutex_unlock(&lock);
}

void fault_clear(void)
{
    (void)pthread_mutex_lock(&lock);
    fault.sql = NULL;
    __atomic_store_n(&fault.allocation, 0, __ATOMIC_RELAXED);
    fault.operation = 0;
    fault.loose = true;
    (void)pthread_mutex_unlock(&lock);
}

void fault_loose(bool loose)
{
    (void)pthread_mutex_lock(&lock);
    fault.loose = loose;
    (void)pthread_mutex_unlock(&lock);
}

bool fault_fired(void)
{
    (void)pthread_mutex_lock(&lock);
    bool fired = fault.fired;
    (void)pthread_mutex_unlock(&lock);
    return fired;
}

static void copy_file(const char *from, const char *to)
{
    char chunk[4096];
    size_t len;
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    REQUIRE(out);
    while (in && (len = fread(chunk, 1, sizeof chunk, in)) > 0)
        REQUIRE(fwrite(chunk, 1, len, out) == len);
    if (in)
        (void)fclose(in);
    REQUIRE(fclose(out) == 0);
}

static void synced_path(const char *path, char text[300])
{
    REQUIRE(snprintf(text, 300, "%s-synced", path) < 300);
}

static int file_close(sqlite3_file *file)
{
    sqlite3_file *inner = file_of(file)->inner;
    int rc = inner->pMethods ? inner->pMethods->xClose(inner) : SQLITE_OK;
    free(file_of(file)->path);
    file_of(file)->path = NULL;
    return rc;
}

static int file_read(sqlite3_file *file, void *data, int len, sqlite3_int64 at)
{
    sqlite3_file *inner = file_of(file)->inner;
    int rc = admit_file(FAULT_READ);
    return rc ? rc : inner->pMethods->xRead(inner, data, len, at);
}

static int file_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 at)
{
    sqlite3_file *inner = file_of(file)->inner;
    int rc = admit_file(FAULT_WRITE);
    return rc ? rc : inner->pMethods->xWrite(inner, data, len, at);
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 bytes)
{
    sqlite3_file *inner = file_of(file)->inner;
    int rc = admit_file(FAULT_WRITE);
    return rc ? rc : inner->pMethods->xTruncate(inner, bytes);
}

static bool keeps_synced;
static pthread_mutex_t synced_lock = PTHREAD_MUTEX_INITIALIZER; /* both are of one moment */

static int file_sync(sqlite3_file *file, int flags)
{
    char path[300];
    int rc = admit_file(FAULT_SYNC);
    (void)flags;
    if (!rc && keeps_synced && file_of(file)->path) {
        (void)pthread_mutex_lock(&synced_lock);
        synced_path(file_of(file)->path, path);
        copy_file(file_of(file)->path, path);
        (void)pthread_mutex_unlock(&synced_lock);
    }
    return rc;
}

static int file_size(sqlite3_file *file, sqlite3_int64 *ret_bytes)
{
    sqlite3_file *inner = file_of(file)->inner;
    return inner->pMethods->xFileSize(inner, ret_bytes);
}

static int file_lock(sqlite3_file *file, int kind)
{
    sqlite3_file *inner = file_of(file)->inner;
    int rc = admit_file(FAULT_LOCK);
    return rc ? rc : inner->pMethods->xLock(inner, kind);
}

static int file_unlock(sqlite3_file *file, int kind)
{
    sqlite3_file *inner = file_of(file)->inner;
    return inner->pMethods->xUnlock(inner, kind);
}

static int file_is_locked(sqlite3_file *file, int *ret_locked)
{
    sqlite3_file *inner = file_of(file)->inner;
    return inner->pMethods->xCheckReservedLock(inner, ret_locked);
}

static int file_control(sqlite3_file *file, int what, void *arg)
{
    sqlite3_file *inner = file_of(file)->inner;
    return inner->pMethods->xFileControl(inner, what, arg);
}

static int file_sector(sqlite3_file *file)
{
    sqlite3_file *inner = file_of(file)->inner;
    return inner->pMethods->xSectorSize(inner);
}

static int file_device(sqlite3_file *file)
{
    sqlite3_file *inner = file_of(file)->inner;
    return inner->pMethods->xDeviceCharacteristics(inner);
}

static int file_map(sqlite3_file *file, int region, int bytes, int extend, void volatile **ret)
{
    sqlite3_file *inner = file_of(file)->inner;
    int rc = admit_file(FAULT_SHARED_MEMORY);
    return rc ? rc : inner->pMethods->xShmMap(inner, region, bytes, extend, ret);
}

static int file_shared_lock(sqlite3_file *file, int at, int count, int flags)
{
    sqlite3_file *inner = file_of(file)->inner;
    /* Letting go never fails. */
    int rc = flags & SQLITE_SHM_LOCK ? admit_file(FAULT_SHARED_MEMORY) : SQLITE_OK;
    return rc ? rc : inner->pMethods->xShmLock(inner, at, count, flags);
}

static void file_barrier(sqlite3_file *file)
{
    sqlite3_file *inner = file_of(file)->inner;
    inner->pMethods->xShmBarrier(inner);
}

static int file_unmap(sqlite3_file *file, int remove)
{
    sqlite3_file *inner = file_of(file)->inner;
    return inner->pMethods->xShmUnmap(inner, remove);
}

static int open_file(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags,
                     int *ret_flags)
{
    struct file *opened = file_of(file);
    (void)vfs;
    *opened = (struct file){.inner = (sqlite3_file *)(void *)(opened + 1)};
    opened->inner->pMethods = NULL;
    int rc = admit_file(FAULT_OPEN);
    if (!rc)
        rc = system_files->xOpen(system_files, path, opened->inner, flags, ret_flags);
    if (!rc && path && flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)) {
        opened->path = __real_malloc(strlen(path) + 1);
        if (opened->path)
            memcpy(opened->path, path, strlen(path) + 1);
    }
    if (opened->inner->pMethods)
        opened->file.pMethods = &methods;
    return rc;
}

/* SQLite wants to know of this one what the system said. */
static int last_error(sqlite3_vfs *vfs, int bytes, char *text)
{
    (void)vfs;
    return system_files->xGetLastError(system_files, bytes, text);
}

/* Before the first database is opened. */
__attribute__((constructor)) static void set_up(void)
{
    REQUIRE(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &memory) == SQLITE_OK);
    sqlite3_mem_methods counted = memory;
    counted.xMalloc = sqlite_malloc;
    counted.xRealloc = sqlite_realloc;
    REQUIRE(sqlite3_config(SQLITE_CONFIG_MALLOC, &counted) == SQLITE_OK);
    REQUIRE(sqlite3_initialize() == SQLITE_OK);
    system_files = sqlite3_vfs_find(NULL);
    REQUIRE(system_files);
    methods = (sqlite3_io_methods){
        .iVersion = 2,
        .xClose = file_close,
        .xRead = file_read,
        .xWrite = file_write,
        .xTruncate = file_truncate,
        .xSync = file_sync,
        .xFileSize = file_size,
        .xLock = file_lock,
        .xUnlock = file_unlock,
        .xCheckReservedLock = file_is_locked,
        .xFileControl = file_control,
        .xSectorSize = file_sector,
        .xDeviceCharacteristics = file_device,
        .xShmMap = file_map,
        .xShmLock = file_shared_lock,
        .xShmBarrier = file_barrier,
        .xShmUnmap = file_unmap,
    };
    files = *system_files;
    files.zName = "weft-faults";
    files.szOsFile += (int)sizeof(struct file);
    files.xOpen = open_file;
    files.xGetLastError = last_error;
    REQUIRE(sqlite3_vfs_register(&files, 1) == SQLITE_OK);
}

void fault_share_memory(bool possible)
{
    methods.iVersion = possible ? 2 : 1;
}

void fault_keep_synced(bool keep)
{
    keeps_synced = keep;
}

void fault_cut_power(const char *path, const char *copy_path)
{
    char log[280], copy_log[280], synced[300];
    REQUIRE(snprintf(log, sizeof log, "%s-wal", path) < (int)sizeof log);
    REQUIRE(snprintf(copy_log, sizeof copy_log, "%s-wal", copy_path) < (int)sizeof copy_log);
    (void)pthread_mutex_lock(&synced_lock);
    synced_path(path, synced);
    copy_file(synced, copy_path);
    synced_path(log, synced);
    copy_file(synced, copy_log);
    (void)pthread_mutex_unlock(&synced_lock);
}
