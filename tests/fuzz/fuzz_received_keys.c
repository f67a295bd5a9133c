/* A user's keys from another server: the parts that are kept are small, canonical and named. */
#include "federation/users/received_keys.h"
#include "fuzz.h"
#include "matrix/canonical_json.h"
#include "matrix/device_keys.h"

static void check_key(struct arena *a, const struct received_key *k)
{
    json_t *o;
    buf_auto struct buf again = {0};
    HOLDS(k->name && *k->name && strlen(k->name) <= RECEIVED_NAME_MAX);
    HOLDS(!k->display_name || strlen(k->display_name) <= RECEIVED_NAME_MAX);
    HOLDS(k->form.n <= KEY_JSON_MAX);
    HOLDS(!json_read(a, k->form, &o) && json_is_object(o));
    HOLDS(!json_object_get(o, "signatures") && !json_object_get(o, "unsigned"));
    HOLDS(!canonical_json_add(&again, CANONICAL_LENIENT, k->form));
    HOLDS(str_eq(buf_str(&again), k->form));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena_auto struct arena *a = arena_create();
    struct received_keys received = {.user_id = "@carol:other.example"};
    json_t *reply;
    if (json_read(a, fuzz_str(data, size), &reply))
        return 0;
    size_t i;
    json_t *one;
    json_array_foreach (json_object_get(reply, "devices"), i, one) {
        const char *id = json_text(one, "device_id");
        received_keys_add_device(a, &received, id ? id : "", json_object_get(one, "keys"),
                                 json_text(one, "device_display_name"));
    }
    received_keys_add_cross_signing(a, &received, KEY_MASTER, json_object_get(reply, "master_key"));
    received_keys_add_cross_signing(a, &received, KEY_SELF_SIGNING,
                                    json_object_get(reply, "self_signing_key"));
    received_keys_add_cross_signing(a, &received, KEY_USER_SIGNING, reply); /* never sent */
    HOLDS(received.n <= RECEIVED_DEVICES_MAX + 2);
    for (size_t k = 0; k < received.n; k++)
        check_key(a, &received.keys[k]);
    return 0;
}
