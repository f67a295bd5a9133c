#include "whole_server.h"
#include "rooms/rooms.h"
#include "server/server.h"
#include "users/users.h"

#include "empty_db.h"
#include "fuzz.h"
#include "http/internal.h"
#include "server/node_parts.h"
#include "server/routes.h"
#include "storage/db/committer.h"

#include <arpa/inet.h>
#include <sys/mman.h>
#include <unistd.h>

enum { FEED_ENTRIES = 16, FEED_BYTES = 1 << 16, CACHE_BYTES = 1 << 22, INPUT_MAX = 1 << 16 };

static struct {
    struct feed_listener listeners[LISTENERS_N];
    struct arena *arena;
    struct node node; /* of these: */
    struct signing_keys keys;
    struct storage storage;
    struct rooms rooms;
    struct users users;
    struct server server;
    struct http_server http;
} whole;

/* ---- starting ---- */

/* A name server without names: it returns each question as its answer. */
static void *deny_names(void *arg)
{
    enum { MESSAGE_MAX = 512, HEAD_BYTES = 12, IS_ANSWER = 0x80, NO_SUCH_NAME = 3 };
    uint8_t message[MESSAGE_MAX];
    struct sockaddr_in from;
    for (;;) {
        socklen_t from_n = sizeof from;
        ssize_t n =
            recvfrom(*(int *)arg, message, sizeof message, 0, (struct sockaddr *)&from, &from_n);
        if (n < HEAD_BYTES)
            continue;
        message[2] |= IS_ANSWER;
        message[3] = NO_SUCH_NAME;
        sendto(*(int *)arg, message, (size_t)n, 0, (struct sockaddr *)&from, from_n);
    }
    return NULL;
}

static const char *start_name_server(void)
{
    static int fd;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof address;
    pthread_t thread;
    HOLDS((fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) >= 0);
    HOLDS(!bind(fd, (struct sockaddr *)&address, n));
    HOLDS(!getsockname(fd, (struct sockaddr *)&address, &n));
    HOLDS(!pthread_create(&thread, NULL, deny_names, &fd) && !pthread_detach(thread));
    return arena_printf(whole.arena, "127.0.0.1:%d", ntohs(address.sin_port));
}

/* No name is looked up in the network, and no other address may be contacted. */
static const struct config *make_config(const char *reachable)
{
    const struct config_override set[] = {
        {"server_name", "us"},
        {"dns_servers", start_name_server()},
        {"ip_range_denylist", "0.0.0.0/0,::/0"},
        {"ip_range_allowlist", reachable ? reachable : "192.0.2.1"},
        {"federation_verify_certificates", "no"},
        {"federation_domain_whitelist", "*"},
        {"rate_limits", "off"},
        {"enable_registration", "yes"},
        {"enable_registration_without_verification", "yes"},
        {"allow_guest_access", "yes"},
        {"allow_public_rooms_over_federation", "yes"},
        {"password_hash_cost", "1"},
        {"presence.enabled", "no"},
        {"turn_uris", "turn:us"},
        {"turn_shared_secret", "secret"},
        {"registration_shared_secret", "secret"},
    };
    const struct config *config = NULL;
    buf_auto struct buf problems = {0};
    config_read(whole.arena, NULL, "/tmp", set, sizeof set / sizeof *set, &problems, &config);
    if (!config)
        fprintf(stderr, "%.*s\n", (int)problems.n, problems.p);
    HOLDS(config);
    return config;
}

static void start(const char *reachable)
{
    struct node *s = &whole.node;
    const struct node_sizes sizes = {FEED_ENTRIES, FEED_BYTES, CACHE_BYTES};
    const char *uri = empty_db_start();
    whole.arena = arena_create();
    log_setup(LOG_ERROR, LOG_TEXT, false);
    *s = (struct node){.config = make_config(reachable),
                       .keys = &whole.keys,
                       .storage = &whole.storage,
                       .rooms = &whole.rooms,
                       .users = &whole.users,
                       .server = &whole.server};
    signing_key_make(&whole.keys.current);
    HOLDS(!db_open(uri, 8, &s->storage->db));
    HOLDS(!node_create_parts(s, &sizes, 0, true, whole.listeners));
    const struct committer_settings settings = {
        .log = {.uri = uri, .feed = s->storage->feed, .epochs = s->storage->epochs}};
    HOLDS(!committer_start(&settings, &s->storage->committer));
    whole.http.body_max = whole.http.upload_max = INPUT_MAX;
    whole.http.rate_table = s->server->rates;
    HOLDS(!router_create(route_tables, route_tables_n, &whole.http.router));
}

struct node *whole_server_store(const char *reachable)
{
    if (!whole.arena)
        start(reachable);
    return &whole.node;
}

/* ---- a request ---- */

static struct str take(struct str *left, char at)
{
    const char *end = left->n ? memchr(left->p, at, left->n) : NULL;
    struct str part = {left->p, end ? (size_t)(end - left->p) : left->n};
    *left = end ? (struct str){end + 1, left->n - part.n - 1} : (struct str){left->p + left->n, 0};
    return part;
}

static bool read_head(struct arena *a, struct str line, struct exchange *ex)
{
    struct str method = take(&line, ' ');
    for (int m = 0; m < METHOD_COUNT; m++)
        if (str_is(method, http_method_names[m]))
            ex->rq.method = (enum http_method)m;
    char *uri = str_dup(a, line), *question = strchr(uri, '?');
    if (question) {
        *question = '\0';
        ex->query = question + 1;
    }
    ex->rq.path = uri;
    router_find(whole.http.router, ex->rq.method, str_of(uri), &ex->match);
    ex->rq.route = ex->match.pattern ? ex->match.pattern->route : NULL;
    return ex->rq.route;
}

static const struct err *decode(struct exchange *ex)
{
    for (size_t i = 0; i < ex->match.pattern->params_n; i++)
        TRY(query_decode(ex->rq.arena, ex->match.values[i], false, &ex->run->params[i]));
    return query_parse(ex->rq.arena, ex->query, &ex->run->query);
}

static const struct err *read_body(struct request *rq)
{
    enum route_body kind = rq->route->body;
    if (kind == BODY_FILE) {
        rq->upload_fd = memfd_create("upload", MFD_CLOEXEC);
        rq->upload_bytes = (int64_t)rq->raw.n;
        HOLDS(pwrite(rq->upload_fd, rq->raw.p, rq->raw.n, 0) == (ssize_t)rq->raw.n);
    }
    if (kind != BODY_JSON && kind != BODY_MAYBE)
        return NULL;
    if (kind == BODY_MAYBE && !rq->raw.n)
        rq->body = json_keep(rq->arena, json_object());
    else
        TRY(json_read(rq->arena, rq->raw, &rq->body));
    return json_is_object(rq->body) ? NULL : err(ERR_BAD_JSON, "The body must be a JSON object");
}

static const struct err *run(struct exchange *ex, struct reply *rp)
{
    TRY(decode(ex));
    TRY(read_body(&ex->rq));
    return ex->rq.route->handler(&ex->rq, rp);
}

/* ---- its result ---- */

static bool is_json(const struct reply *rp)
{
    for (size_t i = 0; i < rp->outcome->headers_n; i++)
        if (strcmp(rp->outcome->headers[i].name, "Content-Type") == 0)
            return strcmp(rp->outcome->headers[i].value, "application/json") == 0;
    return true;
}

static void check_reply(struct arena *a, const struct reply *rp)
{
    json_t *tree;
    HOLDS(rp->outcome->kind != OUTCOME_NONE);
    if (rp->outcome->kind == OUTCOME_BODY && rp->body.n && is_json(rp))
        HOLDS(!json_read(a, buf_str(&rp->body), &tree));
}

/* Nothing can be stored: there is no folder for media, and the database takes no rows. */
static bool is_expected_failure(const struct err *e)
{
    return strncmp(e->cause, "media store", strlen("media store")) == 0 ||
           strstr(e->cause, EMPTY_DB_REFUSAL) || strstr(e->cause, "failed before");
}

static void check_error(const struct err *e)
{
    bool is_failure = e->code == ERR_INTERNAL && !is_expected_failure(e);
    if (is_failure)
        fprintf(stderr, "%s\n", e->cause);
    HOLDS(!is_failure && err_status(e) >= 400);
    HOLDS(e->text[0] && utf8_valid(str_of(e->text)));
}

void whole_server_run(const uint8_t *data, size_t size, bool (*is_wanted)(const struct route *r),
                      void *caller)
{
    arena_auto struct arena *a = arena_create();
    struct node *node = whole_server_store(NULL);
    struct str left = fuzz_str(data, size);
    struct job job;
    struct run own = {0};
    struct reply_outcome outcome = {0};
    struct exchange ex = {.server = &whole.http, .run = &own};
    struct reply rp = {.status = 200, .rq = &ex.rq, .outcome = &outcome};
    if (size > INPUT_MAX || !read_head(a, take(&left, '\n'), &ex) || !is_wanted(ex.rq.route))
        return;
    job_init(&job, node, a);
    ex.rq.arena = a;
    ex.rq.job = &job;
    ex.rq.raw = left;
    ex.rq.upload_fd = -1;
    ex.rq.remote_address = "192.0.2.1";
    ex.rq.exchange = &ex;
    ex.rq.caller = caller;
    ex.rq.caller_id = "caller";
    ex.rq.runs = 1;
    ex.rq.pool = ex.rq.route->moves_to ? ex.rq.route->moves_to : POOL_REMOTE; /* runs to its end */
    ex.rq.timed_out = true;
    const struct err *e = run(&ex, &rp);
    if (e)
        check_error(e);
    else
        check_reply(a, &rp);
    if (ex.rq.waiter.source)
        ex.rq.waiter.leave(&ex.rq.waiter);
    if (ex.rq.upload_fd >= 0)
        close(ex.rq.upload_fd);
    reply_drop(&rp);
    job_finish(&job);
}
