#include "bench/gateway.h"

#include "base/thread.h"

#include <arpa/inet.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static atomic_llong gateway_pushes;

long long gateway_received(void)
{
    return atomic_load(&gateway_pushes);
}

/* A whole request is in the buffer: returns its length; 0: not yet. */
static size_t gateway_request_size(const char *in, size_t n)
{
    const char *end = memmem(in, n, "\r\n\r\n", 4);
    const char *length = end ? memmem(in, (size_t)(end - in), "Content-Length: ", 16) : NULL;
    size_t size = length ? (size_t)(end + 4 - in) + strtoul(length + 16, NULL, 10) : 0;
    return size <= n ? size : 0;
}

static void *gateway_serve_connection(void *of)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                 "Content-Length: 15\r\n\r\n{\"rejected\":[]}";
    int fd = (int)(intptr_t)of;
    char in[64 * 1024];
    size_t n = 0, size;
    for (ssize_t got; (got = read(fd, in + n, sizeof in - n)) > 0;) {
        n += (size_t)got;
        if (!(size = gateway_request_size(in, n)))
            continue;
        n = 0; /* requests are not pipelined */
        atomic_fetch_add(&gateway_pushes, 1);
        if (write(fd, answer, sizeof answer - 1) < 0)
            break;
    }
    close(fd);
    return NULL;
}

static void *gateway_serve(void *of)
{
    int listener = (int)(intptr_t)of;
    for (int fd; (fd = accept(listener, NULL, NULL)) >= 0;) {
        pthread_t thread;
        if (!thread_start(&thread, "gateway", gateway_serve_connection, (void *)(intptr_t)fd))
            exit(1);
        pthread_detach(thread);
    }
    return NULL;
}

void gateway_start(int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    pthread_t thread;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 128) ||
        !thread_start(&thread, "gateway", gateway_serve, (void *)(intptr_t)listener)) {
        perror("the gateway");
        exit(1);
    }
    pthread_detach(thread);
}
