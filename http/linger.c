/* Connections whose request was refused before its body had arrived. If they were closed at once,
 * the kernel would reset the connection and the client would lose the reply: so for a short time
 * further bytes are read and dropped. */
#include "base/clock.h"
#include "http/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { LINGER_MS = 2000, PIECES = 64 };

void linger_begin(struct exchange *ex)
{
    struct loop *l = ex->loop;
    if (l->lingering_n == LINGER_MAX)
        return;
    int fd = fcntl(ex->fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return;
    shutdown(fd, SHUT_WR);
    l->lingering[l->lingering_n++] = (struct lingering){fd, mono_unmoved_ms() + LINGER_MS};
}

/* False when nothing more can arrive. */
static bool drop_what_came(int fd)
{
    char nowhere[16384];
    for (int i = 0; i < PIECES; i++) {
        ssize_t n = recv(fd, nowhere, sizeof nowhere, MSG_DONTWAIT);
        if (n <= 0)
            return n < 0 && (errno == EAGAIN || errno == EINTR);
    }
    return true;
}

void linger_run(struct loop *l, int64_t now_ms)
{
    for (size_t i = 0; i < l->lingering_n;) {
        struct lingering *x = &l->lingering[i];
        if (now_ms < x->until_ms && drop_what_came(x->fd)) {
            i++;
            continue;
        }
        close(x->fd);
        *x = l->lingering[--l->lingering_n];
    }
}
