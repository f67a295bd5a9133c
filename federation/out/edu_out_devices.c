/* Sent EDUs of end-to-end encryption: changes of our users' devices and cross-signing keys, and
 * to-device messages (server-server-api, "Device Management", "Send-to-device messaging"). None is
 * ever dropped. */
#include "federation/out/edu_out.h"
#include "matrix/canonical_json.h"
#include "storage/db/epochs.h"
#include "storage/devices/device_lists.h"
#include "storage/devices/e2ee_keys.h"
#include "storage/devices/to_device.h"
#include "storage/servers/server_rooms.h"
#include "users/key_query.h"

enum {
    EDUS_MAX = sizeof((struct edu_list *)NULL)->edus / sizeof(struct str),
    MESSAGES_BYTES_MAX = 1 << 20 /* to-device messages in one transaction */
};

static const struct err *edu_out_devices_add_edu(struct job *job, struct edu_list *list,
                                                 int64_t position, const char *type,
                                                 struct str content)
{
    buf_auto struct buf b = {0};
    TRY(canonical_json_add(&b, CANONICAL_LENIENT, content));
    edu_list_add(job->arena, list, position, type, buf_str(&b));
    return NULL;
}

/* ---- device lists ---- */

struct device_list_edus {
    struct job *job;
    const struct device_change *changes;
    size_t n;
    const struct public_key *keys; /* of all users in the list */
    size_t keys_n;
    struct key_requester requester;
    struct edu_list *list;
};

/* True if a later change in the list is for the same device. */
static bool edu_out_devices_is_outdated(const struct device_list_edus *d, size_t i)
{
    const struct device_change *c = &d->changes[i];
    for (size_t later = i + 1; later < d->n; later++)
        if (d->changes[later].user == c->user &&
            strcmp(d->changes[later].device_id, c->device_id) == 0)
            return true;
    return false;
}

static const struct public_key *edu_out_devices_find_key(const struct device_list_edus *d,
                                                         int64_t user, enum key_kind kind,
                                                         const char *device_id)
{
    for (size_t i = 0; i < d->keys_n; i++) {
        const struct public_key *k = &d->keys[i];
        if (k->user == user && k->kind == kind && (!device_id || strcmp(k->name, device_id) == 0))
            return k;
    }
    return NULL;
}

static void edu_out_devices_add_user(struct buf *b, const char *user_id)
{
    BUF_LIT(b, "{\"user_id\":");
    buf_add_json_string(b, str_of(user_id));
}

static const struct err *add_signing_keys(struct device_list_edus *d, const struct device_change *c)
{
    buf_auto struct buf b = {0};
    const struct public_key *master = edu_out_devices_find_key(d, c->user, KEY_MASTER, NULL);
    const struct public_key *self_signing =
        edu_out_devices_find_key(d, c->user, KEY_SELF_SIGNING, NULL);
    edu_out_devices_add_user(&b, c->user_id);
    if (master) {
        BUF_LIT(&b, ",\"master_key\":");
        public_key_add(&b, master, &d->requester);
    }
    if (self_signing) {
        BUF_LIT(&b, ",\"self_signing_key\":");
        public_key_add(&b, self_signing, &d->requester);
    }
    buf_add_char(&b, '}');
    return edu_out_devices_add_edu(d->job, d->list, c->position, "m.signing_key_update",
                                   buf_str(&b));
}

/* The change of this user's devices that the other server was sent before: in an earlier EDU of the
 * list, or in an earlier transaction. */
static int64_t change_before(const struct device_list_edus *d, size_t i)
{
    int64_t user = d->changes[i].user;
    for (size_t j = i; j-- > 0;)
        if (d->changes[j].user == user && *d->changes[j].device_id &&
            !edu_out_devices_is_outdated(d, j))
            return d->changes[j].position;
    return d->changes[i].before;
}

/* position: of the change itself, or of the join for which it is sent. */
static const struct err *edu_out_devices_add_device(struct device_list_edus *d,
                                                    const struct device_change *c, int64_t before,
                                                    int64_t position)
{
    buf_auto struct buf b = {0};
    const struct public_key *k = edu_out_devices_find_key(d, c->user, KEY_DEVICE, c->device_id);
    struct epochs *epochs = d->job->storage->epochs;
    edu_out_devices_add_user(&b, c->user_id);
    BUF_LIT(&b, ",\"device_id\":");
    buf_add_json_string(&b, str_of(c->device_id));
    buf_printf(&b, ",\"stream_id\":%lld,\"prev_id\":[",
               (long long)epochs_stream_id(epochs, c->position));
    if (before)
        buf_add_int(&b, epochs_stream_id(epochs, before));
    buf_add_char(&b, ']');
    if (k) {
        BUF_LIT(&b, ",\"keys\":");
        public_key_add(&b, k, &d->requester);
    } else if (!c->is_there) {
        BUF_LIT(&b, ",\"deleted\":true");
    }
    if (k && k->display_name && d->requester.sees_names) {
        BUF_LIT(&b, ",\"device_display_name\":");
        buf_add_json_string(&b, str_of(k->display_name));
    }
    buf_add_char(&b, '}');
    return edu_out_devices_add_edu(d->job, d->list, position, "m.device_list_update", buf_str(&b));
}

static const struct err *edu_out_devices_read_keys(struct device_list_edus *d)
{
    const char **users = arena_alloc_array(d->job->arena, d->n, sizeof *users);
    for (size_t i = 0; i < d->n; i++)
        users[i] = d->changes[i].user_id;
    return public_keys_read(job_tx(d->job), users, d->n, 0, &d->keys, &d->keys_n);
}

/* Cuts the list to the limit first, and then skips changes that a later one repeats, so that the
 * prev_id of an EDU always names one that was sent. */
static const struct err *add_changes(struct device_list_edus *d, const int64_t *rooms,
                                     size_t rooms_n, int64_t from, int64_t *until)
{
    int cap = (int)(EDUS_MAX - d->list->n);
    bool any;
    TRY(device_changes_exist(job_tx(d->job), from, *until, &any));
    if (!any)
        return NULL;
    TRY(device_changes_read(job_tx(d->job), rooms, rooms_n, from, *until, cap + 1, &d->changes,
                            &d->n));
    if (d->n > (size_t)cap) {
        d->n = (size_t)cap;
        *until = d->changes[d->n].position - 1;
    }
    TRY(edu_out_devices_read_keys(d));
    for (size_t i = 0; i < d->n; i++) {
        if (edu_out_devices_is_outdated(d, i))
            continue;
        if (*d->changes[i].device_id)
            TRY(edu_out_devices_add_device(d, &d->changes[i], change_before(d, i),
                                           d->changes[i].position));
        else
            TRY(add_signing_keys(d, &d->changes[i]));
    }
    return NULL;
}

/* Users who joined a room with this server and shared none before: sends their newest change. A
 * server that does not know the one before it requests the whole list. */
static const struct err *add_joiners(struct device_list_edus *d, const int64_t *rooms,
                                     size_t rooms_n, int64_t from, int64_t *until)
{
    size_t most = (EDUS_MAX - d->list->n + 1) / 2, n;
    const struct device_joiner *joiners;
    TRY(device_joiners_read(job_tx(d->job), rooms, rooms_n, from, *until, (int)most + 1, &joiners,
                            &n));
    if (n > most) {
        n = most;
        *until = joiners[n].joined - 1;
    }
    const char **users = arena_alloc_array(d->job->arena, n + 1, sizeof *users);
    for (size_t i = 0; i < n; i++)
        users[i] = joiners[i].change.user_id;
    if (n)
        TRY(public_keys_read(job_tx(d->job), users, n, 0, &d->keys, &d->keys_n));
    for (size_t i = 0; i < n; i++)
        TRY(edu_out_devices_add_device(d, &joiners[i].change, joiners[i].change.before,
                                       joiners[i].joined));
    return NULL;
}

const struct err *edu_out_device_lists(struct job *job, const char *server, int64_t from,
                                       int64_t *until, struct edu_list *list)
{
    const int64_t *rooms;
    size_t rooms_n;
    struct device_list_edus d = {.job = job,
                                 .requester.sees_names =
                                     job->config->allow_device_name_lookup_over_federation,
                                 .list = list};
    TRY(server_rooms(job_tx(job), server, &rooms, &rooms_n));
    TRY(add_joiners(&d, rooms, rooms_n, from, until));
    return add_changes(&d, rooms, rooms_n, from, until);
}

/* ---- messages to devices ---- */

const struct err *edu_out_to_device(struct job *job, const char *server, int64_t from,
                                    int64_t *until, struct edu_list *list)
{
    const struct to_device_message *messages;
    size_t n, bytes = 0;
    int cap = (int)(EDUS_MAX - list->n);
    TRY(to_device_outbound_read(job_tx(job), server, from, cap + 1, &messages, &n));
    for (size_t i = 0; i < n && messages[i].position <= *until; i++) {
        bytes += messages[i].json.n;
        if (i == (size_t)cap || (i > 0 && bytes > MESSAGES_BYTES_MAX)) {
            *until = messages[i].position - 1;
            return NULL;
        }
        edu_list_add(job->arena, list, messages[i].position, "m.direct_to_device",
                     messages[i].json);
    }
    return NULL;
}
