#include "empty_db.h"

#include "base/mem.h"
#include "fuzz.h"

#include <arpa/inet.h>
#include <endian.h>
#include <sys/socket.h>
#include <unistd.h>

enum { STATEMENTS_MAX = 4096, MESSAGE_MAX = 64 << 20, OID_INT8 = 20, OID_TEXT = 25 };

/* Statements that return a row even here. Columns: 'i' for 0, 't' for the text {}. */
static const struct {
    const char *begins, *columns;
} rows[] = {
    {"WITH old AS", "i"}, /* these three: the committer's */
    {"SELECT pg_try_advisory_lock", "i"},
    {"SELECT node, batch, position, epoch, members FROM log_head", "iiiii"},
    {"SELECT count(*) FROM one_time_keys", "i"},
    {"SELECT (jsonb_build_object('signed_curve25519', 0)", "ttii"},
};

enum kind { READS, WRITES, GIVES_A_ROW };
struct statement {
    enum kind kind;
    const char *columns;
};

struct session {
    int fd;
    struct buf out;
    struct statement known[STATEMENTS_MAX]; /* by the number in "s12" */
    struct statement now;                   /* the bound one */
    bool failed;                            /* until the next Sync */
    char transaction;                       /* 'I', 'T' or 'E' */
};

/* ---- messages ---- */

static void add_int(struct buf *b, uint32_t v, size_t bytes)
{
    uint32_t big = htobe32(v);
    buf_add(b, (const char *)&big + 4 - bytes, bytes);
}

static void add(struct session *s, char type, struct str body)
{
    buf_add_char(&s->out, type);
    add_int(&s->out, (uint32_t)body.n + 4, 4);
    buf_add_str(&s->out, body);
}

static void add_ready(struct session *s)
{
    add(s, 'Z', (struct str){&s->transaction, 1});
}

static void add_refusal(struct session *s)
{
    static const char fields[] = "SERROR\0VERROR\0C42501\0M" EMPTY_DB_REFUSAL "\0";
    add(s, 'E', (struct str){fields, sizeof fields});
    s->failed = true;
    if (s->transaction == 'T')
        s->transaction = 'E';
}

static void add_description(struct session *s)
{
    if (s->now.kind != GIVES_A_ROW) {
        add(s, 'n', (struct str){"", 0});
        return;
    }
    buf_auto struct buf b = {0};
    add_int(&b, (uint32_t)strlen(s->now.columns), 2);
    for (const char *c = s->now.columns; *c; c++) {
        buf_add(&b, "v", 2);
        add_int(&b, 0, 4);
        add_int(&b, 0, 2);
        add_int(&b, *c == 'i' ? OID_INT8 : OID_TEXT, 4);
        add_int(&b, *c == 'i' ? 8 : UINT16_MAX, 2);
        add_int(&b, UINT32_MAX, 4);
        add_int(&b, 1, 2);
    }
    add(s, 'T', buf_str(&b));
}

static void add_result(struct session *s)
{
    buf_auto struct buf b = {0};
    if (s->now.kind == WRITES) {
        add_refusal(s);
        return;
    }
    if (s->now.kind == GIVES_A_ROW) {
        add_int(&b, (uint32_t)strlen(s->now.columns), 2);
        for (const char *c = s->now.columns; *c; c++) {
            struct str value = *c == 'i' ? (struct str){"\0\0\0\0\0\0\0", 8} : STR("{}");
            add_int(&b, (uint32_t)value.n, 4);
            buf_add_str(&b, value);
        }
        add(s, 'D', buf_str(&b));
    }
    add(s, 'C', (struct str){"SELECT 0", sizeof "SELECT 0"});
}

/* ---- statements ---- */

static struct statement judge(const char *text)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strncmp(text, rows[i].begins, strlen(rows[i].begins)) == 0)
            return (struct statement){GIVES_A_ROW, rows[i].columns};
    bool writes = strstr(text, "INSERT") || strstr(text, "UPDATE") || strstr(text, "DELETE");
    return (struct statement){writes ? WRITES : READS, NULL};
}

static struct statement *find(struct session *s, const char *name)
{
    int n = atoi(name + (*name == 's'));
    HOLDS(n >= 0 && n < STATEMENTS_MAX);
    return &s->known[n];
}

/* BEGIN, COMMIT, ROLLBACK and settings. */
static void run_command(struct session *s, const char *text)
{
    const char *tag = strncmp(text, "SET", 3) == 0 ? "SET" : text;
    if (strcmp(text, "BEGIN") == 0)
        s->transaction = 'T';
    if (strcmp(text, "COMMIT") == 0 && s->transaction == 'E')
        tag = "ROLLBACK";
    if (strcmp(text, "COMMIT") == 0 || strcmp(text, "ROLLBACK") == 0)
        s->transaction = 'I';
    add(s, 'C', (struct str){tag, strlen(tag) + 1});
    add_ready(s);
}

static void answer(struct session *s, char type, const char *body)
{
    if (s->failed && type != 'S')
        return;
    if (type == 'Q') {
        run_command(s, body);
    } else if (type == 'P') {
        *find(s, body) = judge(body + strlen(body) + 1);
        add(s, '1', (struct str){"", 0});
    } else if (type == 'B') { /* portal, then statement */
        s->now = *find(s, body + strlen(body) + 1);
        add(s, '2', (struct str){"", 0});
    } else if (type == 'D') {
        add_description(s);
    } else if (type == 'E') {
        add_result(s);
    } else if (type == 'S') {
        s->failed = false;
        add_ready(s);
    }
}

/* ---- connections ---- */

static bool read_whole(int fd, void *into, size_t n)
{
    return !n || recv(fd, into, n, MSG_WAITALL) == (ssize_t)n;
}

static char *read_body(int fd)
{
    uint32_t n;
    if (!read_whole(fd, &n, sizeof n))
        return NULL;
    n = be32toh(n) - 4;
    HOLDS(n < MESSAGE_MAX);
    char *body = mem_alloc(n + 1);
    body[n] = '\0';
    if (read_whole(fd, body, n))
        return body;
    free(body);
    return NULL;
}

static bool send_out(struct session *s)
{
    bool well = send(s->fd, s->out.p, s->out.n, MSG_NOSIGNAL) == (ssize_t)s->out.n;
    buf_clear(&s->out);
    return well;
}

static bool greet(struct session *s)
{
    free(read_body(s->fd));
    add(s, 'R', (struct str){"\0\0\0", 4});
    add(s, 'S', (struct str){"client_encoding\0UTF8", sizeof "client_encoding\0UTF8"});
    add(s, 'K', (struct str){"\0\0\0\1\0\0\0", 8});
    add_ready(s);
    return send_out(s);
}

static void *talk(void *arg)
{
    struct session *s = arg;
    char type;
    bool open = greet(s);
    while (open && read_whole(s->fd, &type, 1)) {
        char *body = read_body(s->fd);
        if (!body)
            break;
        answer(s, type, body);
        free(body);
        if (type == 'S' || type == 'Q') /* in one write, or TCP waits between two */
            open = send_out(s);
    }
    close(s->fd);
    buf_finish(&s->out);
    free(s);
    return NULL;
}

static void *accept_all(void *arg)
{
    for (int listening = *(int *)arg;;) {
        struct session *s = mem_zalloc(sizeof *s);
        s->transaction = 'I';
        HOLDS((s->fd = accept(listening, NULL, NULL)) >= 0);
        fuzz_start_thread(talk, s);
    }
    return NULL;
}

const char *empty_db_start(void)
{
    static int fd;
    static char uri[128];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof address;
    HOLDS((fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) >= 0);
    HOLDS(!bind(fd, (struct sockaddr *)&address, n) && !listen(fd, 16));
    HOLDS(!getsockname(fd, (struct sockaddr *)&address, &n));
    fuzz_start_thread(accept_all, &fd);
    snprintf(uri, sizeof uri,
             "host=127.0.0.1 port=%d user=u dbname=d sslmode=disable gssencmode=disable",
             ntohs(address.sin_port));
    return uri;
}
