/* Input: a byte (1: HEAD, 2: only a few bytes are wanted, 4: the caller scans the body), then the
 * raw answer of another server. libcurl reads it from a socket of ours. */
#include "fuzz.h"

#include "base/clock.h"
#include "federation/peer/reply.h"
#include "http/client/client_internal.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { FLAG_HEAD = 1, FLAG_FEW = 2, FLAG_SCANS = 4, FEW = 16, MANY = 1 << 20, INPUT_MAX = 1 << 15 };

/* The socket to which libcurl connects, and the answer on it. */
static struct {
    int fd, theirs;
    struct sockaddr_un address;
    socklen_t address_n;
    struct str answer;
} host = {.fd = -1};

static void listen_once(void)
{
    if (host.fd >= 0)
        return;
    host.address.sun_family = AF_UNIX;
    host.address_n = sizeof host.address;
    host.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    HOLDS(!bind(host.fd, (struct sockaddr *)&host.address, sizeof host.address.sun_family));
    HOLDS(!getsockname(host.fd, (struct sockaddr *)&host.address, &host.address_n));
    HOLDS(!listen(host.fd, 1));
}

static curl_socket_t open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *address)
{
    memcpy(&address->addr, &host.address, host.address_n);
    address->addrlen = host.address_n;
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

/* Connected: the whole answer is there before libcurl asks. */
static int on_connected(void *ctx, char *to, char *from, int to_port, int from_port)
{
    HOLDS((host.theirs = accept(host.fd, NULL, NULL)) >= 0);
    HOLDS(send(host.theirs, host.answer.p, host.answer.n, MSG_DONTWAIT | MSG_NOSIGNAL) ==
          (ssize_t)host.answer.n);
    shutdown(host.theirs, SHUT_WR);
    return CURL_PREREQFUNC_OK;
}

static void check_headers(struct arena *a, const struct http_answer *answer)
{
    static const char *const names[] = {"Content-Type", "Location", "Cache-Control", "A"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = http_answer_header(a, answer, names[i]);
        HOLDS(!value || (!strchr(value, '\n') && strlen(value) < answer->head.n));
        HOLDS(!value || !*value || !strchr(" \t\r", value[strlen(value) - 1]));
    }
}

static void check_reply(struct arena *a, const struct http_answer *answer, bool scans)
{
    const struct fed_request r = {.server = "a.example", .no_tree = scans};
    struct fed_reply reply;
    fed_reply_read(a, answer, !scans, &reply);
    HOLDS(!reply.json || json_is_object(reply.json) || json_is_array(reply.json));
    const struct err *e = fed_reply_check(a, &r, &reply);
    if (!e) {
        HOLDS(reply.status / 100 == 2 && (scans || json_is_object(reply.json)));
        return;
    }
    HOLDS(e->text[0] && utf8_valid(str_of(e->text)));
    HOLDS(e->code != ERR_UNKNOWN_TOKEN && e->code != ERR_INTERNAL);
}

static void check(struct arena *a, struct transfer *t, const struct http_call *call, bool scans)
{
    struct http_answer answer;
    transfer_answer(t, a, &answer);
    HOLDS(answer.status >= 0 && answer.status <= 999 && answer.bytes == (int64_t)answer.body.n);
    HOLDS(answer.status / 100 != 2 || answer.body.n <= call->reply_max);
    HOLDS(call->method != HEAD || !answer.body.n);
    check_headers(a, &answer);
    check_reply(a, &answer, scans);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size || size > INPUT_MAX)
        return 0;
    arena_auto struct arena *a = arena_create();
    struct http_client client = {.grace_ms = 1000};
    const struct http_call call = {.method = data[0] & FLAG_HEAD ? HEAD : GET,
                                   .url = "http://a.example/x",
                                   .allow_plain = true,
                                   .reply_max = data[0] & FLAG_FEW ? FEW : MANY};
    struct transfer *t;
    listen_once();
    host.theirs = -1;
    host.answer = fuzz_str(data + 1, size - 1);
    HOLDS(!transfer_create(&client, &call, "::127.0.0.1:80", mono_ms() + 5000, 5000, &t));
    curl_easy_setopt(t->easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(t->easy, CURLOPT_PREREQFUNCTION, on_connected);
    t->result = curl_easy_perform(t->easy);
    if (t->result == CURLE_OK && !t->cut)
        check(a, t, &call, data[0] & FLAG_SCANS);
    HOLDS(host.theirs >= 0);
    close(host.theirs);
    transfer_destroy(t);
    return 0;
}
