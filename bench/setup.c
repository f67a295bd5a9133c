#include "bench/setup.h"

#include "base/clock.h"
#include "matrix/sign.h"

#include <stdio.h>
#include <stdlib.h>

enum { AT_ONCE = 32, ONE_TIME_KEYS = 10 };

void path_escape(const char *id, char *ret, size_t size)
{
    size_t n = 0;
    for (; *id && n + 4 < size; id++) {
        if (strchr("!:#@$/?%", *id))
            n += (size_t)snprintf(ret + n, size - n, "%%%02X", (unsigned char)*id);
        else
            ret[n++] = *id;
    }
    ret[n] = '\0';
}

/* Many clients doing one thing each, a bounded number at a time. */
struct crowd {
    struct engine *engine;
    size_t first, n, next, done;
    const char *prefix, *room;
    void (*start)(struct crowd *c, struct client *client);
};

static bool crowd_done(void *ctx)
{
    struct crowd *c = ctx;
    return c->done == c->n;
}

static void setup_start_next(struct crowd *c)
{
    if (c->next < c->n)
        c->start(c, engine_client(c->engine, c->first + c->next++));
}

static void need_ok(int status, struct str body)
{
    if (status == 200)
        return;
    fprintf(stderr, "setup: %d %.*s\n", status, STR_FMT(body));
    exit(1);
}

static void on_registered(struct client *client, int status, struct str body)
{
    struct crowd *c = client->ctx;
    need_ok(status, body);
    take_string(body, "access_token", client->token, sizeof client->token);
    c->done++;
    setup_start_next(c);
}

static void start_register(struct crowd *c, struct client *client)
{
    char body[256];
    client->ctx = c;
    snprintf(body, sizeof body,
             "{\"username\":\"%s-%d-%lld\",\"password\":\"benchmark-Pass1\","
             "\"auth\":{\"type\":\"m.login.dummy\"}}",
             c->prefix, client->index, (long long)now_ms());
    client_send(c->engine, client, "POST", "/_matrix/client/v3/register", body, on_registered);
}

static void run_crowd(struct crowd *c)
{
    for (int i = 0; i < AT_ONCE; i++)
        setup_start_next(c);
    engine_run(c->engine, crowd_done, c, 0);
}

size_t setup_users(struct engine *e, const char *prefix, size_t n)
{
    size_t first = engine_clients_n(e);
    for (size_t i = 0; i < n; i++)
        engine_connect(e);
    struct crowd c = {
        .engine = e, .first = first, .n = n, .prefix = prefix, .start = start_register};
    run_crowd(&c);
    return first;
}

void setup_room(struct engine *e, struct client *owner, const char *name, char ret[ID_SIZE])
{
    char body[256];
    snprintf(body, sizeof body, "{\"preset\":\"public_chat\",\"name\":\"%s\"}", name);
    take_string(client_call(e, owner, "POST", "/_matrix/client/v3/createRoom", body), "room_id",
                ret, ID_SIZE);
}

static void setup_on_done(struct client *client, int status, struct str body)
{
    struct crowd *c = client->ctx;
    need_ok(status, body);
    c->done++;
    setup_start_next(c);
}

static void start_join(struct crowd *c, struct client *client)
{
    char path[2 * ID_SIZE], room[ID_SIZE * 3 / 2];
    client->ctx = c;
    path_escape(c->room, room, sizeof room);
    snprintf(path, sizeof path, "/_matrix/client/v3/join/%s", room);
    client_send(c->engine, client, "POST", path, "{}", setup_on_done);
}

void setup_joins(struct engine *e, size_t first, size_t n, const char *room)
{
    struct crowd c = {.engine = e, .first = first, .n = n, .room = room, .start = start_join};
    run_crowd(&c);
}

static void setup_start_pusher(struct crowd *c, struct client *client)
{
    char body[512];
    client->ctx = c;
    snprintf(body, sizeof body,
             "{\"kind\":\"http\",\"app_id\":\"bench\",\"pushkey\":\"key %d\",\"lang\":\"en\","
             "\"app_display_name\":\"App\",\"device_display_name\":\"Phone\",\"data\":{\"url\":"
             "\"https://push.example.org/_matrix/push/v1/notify\",\"format\":\"event_id_only\"}}",
             client->index);
    client_send(c->engine, client, "POST", "/_matrix/client/v3/pushers/set", body, setup_on_done);
}

void setup_pushers(struct engine *e, size_t first, size_t n)
{
    struct crowd c = {.engine = e, .first = first, .n = n, .start = setup_start_pusher};
    run_crowd(&c);
}

static void setup_add_public(struct buf *out, const struct signing_key *k)
{
    buf_add_base64(out, BASE64_STANDARD, k->public_, sizeof k->public_);
}

/* Signs it by the device, and adds it with its signature. canonical: without it. */
static void setup_add_signed(struct buf *out, const struct signing_key *k, struct str canonical,
                             const char *user, const char *device)
{
    char signature[SIGNATURE_BASE64 + 1];
    sign_bytes(k, canonical, signature);
    buf_add(out, canonical.p, canonical.n - 1);
    buf_printf(out, ",\"signatures\":{\"%s\":{\"ed25519:%s\":\"%s\"}}}", user, device, signature);
}

static void setup_add_device_keys(struct buf *out, const struct signing_key *k, const char *user,
                                  const char *device)
{
    buf_auto struct buf one = {0}, key = {0};
    setup_add_public(&key, k);
    buf_printf(&one,
               "{\"algorithms\":[\"m.olm.v1.curve25519-aes-sha2\",\"m.megolm.v1.aes-sha2\"],"
               "\"device_id\":\"%s\",\"keys\":{\"curve25519:%s\":\"%s\",\"ed25519:%s\":\"%s\"},"
               "\"user_id\":\"%s\"}",
               device, device, key.p, device, key.p, user);
    setup_add_signed(out, k, buf_str(&one), user, device);
}

static void on_whoami(struct client *client, int status, struct str body)
{
    struct crowd *c = client->ctx;
    struct signing_key k;
    char user[ID_SIZE], device[64];
    buf_auto struct buf keys = {0}, one = {0};
    need_ok(status, body);
    take_string(body, "user_id", user, sizeof user);
    take_string(body, "device_id", device, sizeof device);
    signing_key_make(&k);
    BUF_LIT(&keys, "{\"device_keys\":");
    setup_add_device_keys(&keys, &k, user, device);
    BUF_LIT(&keys, ",\"one_time_keys\":{");
    for (int i = 0; i < ONE_TIME_KEYS; i++) {
        buf_clear(&one);
        BUF_LIT(&one, "{\"key\":\"");
        setup_add_public(&one, &k);
        BUF_LIT(&one, "\"}");
        buf_printf(&keys, "%s\"signed_curve25519:%d\":", i ? "," : "", i);
        setup_add_signed(&keys, &k, buf_str(&one), user, device);
    }
    BUF_LIT(&keys, "}}");
    buf_add_char(&keys, '\0');
    client_send(c->engine, client, "POST", "/_matrix/client/v3/keys/upload", keys.p, setup_on_done);
}

static void start_keys(struct crowd *c, struct client *client)
{
    client->ctx = c;
    client_send(c->engine, client, "GET", "/_matrix/client/v3/account/whoami", NULL, on_whoami);
}

void setup_keys(struct engine *e, size_t first, size_t n)
{
    struct crowd c = {.engine = e, .first = first, .n = n, .start = start_keys};
    run_crowd(&c);
}
