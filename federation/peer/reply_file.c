#include "federation/peer/reply_file.h"

#include "base/new_file.h"
#include "matrix/json_scan.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct mapping {
    void *bytes;
    size_t n;
};

static void unmap(void *what)
{
    struct mapping *m = what;
    munmap(m->bytes, m->n);
}

/* The mapping keeps the unnamed file alive. */
static const struct err *map_file(struct arena *a, int fd, struct str *ret)
{
    struct stat st;
    if (fstat(fd, &st))
        return err_storage(errno, "a reply's file");
    if (st.st_size == 0)
        return err(ERR_NOT_JSON, "The reply is empty");
    struct mapping *m = arena_alloc(a, sizeof *m);
    m->n = (size_t)st.st_size;
    m->bytes = mmap(NULL, m->n, PROT_READ, MAP_PRIVATE, fd, 0);
    if (m->bytes == MAP_FAILED)
        return err_internal("mapping a reply of %zu bytes: %s", m->n, strerror(errno));
    arena_defer(a, unmap, m);
    *ret = (struct str){m->bytes, m->n};
    return NULL;
}

static const struct err *reply_file_ask(struct job *job, const struct fed_request *r, int fd,
                                        struct str *ret)
{
    struct fed_request into_file = *r;
    struct fed_reply reply;
    into_file.sink_fd = fd;
    TRY(federation_request(job, &into_file, &reply));
    TRY(map_file(job->arena, fd, ret));
    return json_scan_check(*ret);
}

const struct err *federation_request_file(struct job *job, const struct fed_request *r,
                                          struct str *ret)
{
    int fd = new_file_open_scratch(job->config->data_dir);
    if (fd < 0)
        return err_internal("a file for a reply in %s: %s", job->config->data_dir, strerror(errno));
    const struct err *e = reply_file_ask(job, r, fd, ret);
    close(fd);
    return e;
}
