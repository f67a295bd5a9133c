/* Keys that clients upload: accepted keys have the form that is sent to others, and any fault of
 * form is M_BAD_JSON. */
#include "fuzz.h"
#include "matrix/canonical_json.h"
#include "matrix/device_keys.h"

#define USER "@alice:example.org"

static void check_form(struct arena *a, const json_t *key)
{
    struct str form;
    json_t *o;
    if (canonical_json_check_tree(key) || key_signed_form(a, key, &form))
        return;
    buf_auto struct buf again = {0};
    HOLDS(form.n <= KEY_JSON_MAX);
    HOLDS(!json_read(a, form, &o) && json_is_object(o));
    HOLDS(!json_object_get(o, "signatures") && !json_object_get(o, "unsigned"));
    HOLDS(!canonical_json_add(&again, CANONICAL_STRICT, form));
    HOLDS(str_eq(buf_str(&again), form));
}

static bool is_form_error(const struct err *e)
{
    return e->code == ERR_BAD_JSON || e->code == ERR_INVALID_SIGNATURE;
}

static void check_one_time_keys(struct arena *a, const json_t *keys)
{
    const char *name, *algorithm, *id;
    json_t *key;
    json_object_foreach ((json_t *)keys, name, key) {
        const struct err *e = one_time_key_check(name, key);
        HOLDS(!e || e->code == ERR_BAD_JSON);
        HOLDS(e || key_name_split(a, name, &algorithm, &id));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena_auto struct arena *a = arena_create();
    json_t *body;
    const char *public_key;
    if (json_read(a, fuzz_str(data, size), &body))
        return 0;
    const json_t *device = json_object_get(body, "device_keys");
    const json_t *master = json_object_get(body, "master_key");
    const struct err *e = device_keys_check(device, USER, "DEVICE");
    HOLDS(!e || is_form_error(e));
    if (!e)
        check_form(a, device);
    e = cross_signing_key_check(master, USER, "master", &public_key);
    if (!e) {
        HOLDS(public_key && *public_key);
        check_form(a, master);
    }
    check_one_time_keys(a, json_object_get(body, "one_time_keys"));
    return 0;
}
