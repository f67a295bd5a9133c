#include "matrix/device_keys.h"

#include "check.h"

#include "matrix/sign.h"

#define USER "@u:x"
#define DEVICE "DEV"
/* 32 and 64 zero bytes: well-formed, but valid for no key. */
#define ZERO_KEY "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define ZERO_SIGNATURE                                                                             \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static json_t *read(struct arena *a, const char *text)
{
    json_t *o;
    check_error(text, json_read(a, str_of(quoted(a, text)), &o), NULL);
    return o;
}

static void test_device_keys_rules(void **state)
{
    static const struct {
        const char *proves, *keys, *errcode;
    } rows[] = {
        {"well-formed",
         "{'user_id':'@u:x','device_id':'DEV','algorithms':['a'],'keys':{'k:DEV':'v'},"
         "'signatures':{'@u:x':{'k:DEV':'s'}}}",
         NULL},
        {"further members are kept out of it",
         "{'user_id':'@u:x','device_id':'DEV','algorithms':[],'keys':{},'dehydrated':true}", NULL},
        {"user_id is needed", "{'device_id':'DEV','algorithms':[],'keys':{}}", "M_BAD_JSON"},
        {"user_id is the owner's", "{'user_id':'@v:x','device_id':'DEV','algorithms':[],'keys':{}}",
         "M_BAD_JSON"},
        {"device_id is needed", "{'user_id':'@u:x','algorithms':[],'keys':{}}", "M_BAD_JSON"},
        {"device_id is the device's",
         "{'user_id':'@u:x','device_id':'dev','algorithms':[],'keys':{}}", "M_BAD_JSON"},
        {"algorithms are needed", "{'user_id':'@u:x','device_id':'DEV','keys':{}}", "M_BAD_JSON"},
        {"algorithms are strings",
         "{'user_id':'@u:x','device_id':'DEV','algorithms':[1],'keys':{}}", "M_BAD_JSON"},
        {"keys are needed", "{'user_id':'@u:x','device_id':'DEV','algorithms':[]}", "M_BAD_JSON"},
        {"keys are strings",
         "{'user_id':'@u:x','device_id':'DEV','algorithms':[],'keys':{'a:DEV':{}}}", "M_BAD_JSON"},
        {"signatures are objects of strings",
         "{'user_id':'@u:x','device_id':'DEV','algorithms':[],'keys':{},'signatures':{'@u:x':"
         "{'a:b':1}}}",
         "M_BAD_JSON"},
        {"a signature that can be checked must be right",
         "{'user_id':'@u:x','device_id':'DEV','algorithms':[],'keys':{'ed25519:DEV':'" ZERO_KEY
         "'},'signatures':{'@u:x':{'ed25519:DEV':'" ZERO_SIGNATURE "'}}}",
         "M_INVALID_SIGNATURE"},
        {"a key other than Ed25519 cannot be checked",
         "{'user_id':'@u:x','device_id':'DEV','algorithms':[],'keys':{'ed25519:DEV':'base64+key'},"
         "'signatures':{'@u:x':{'ed25519:DEV':'" ZERO_SIGNATURE "'}}}",
         NULL},
    };
    arena_auto struct arena *a = arena_create();
    for (size_t i = 0; i < COUNT(rows); i++)
        check_error(rows[i].proves, device_keys_check(read(a, rows[i].keys), USER, DEVICE),
                    rows[i].errcode);
}

static void test_right_device_signature(void **state)
{
    arena_auto struct arena *a = arena_create();
    struct signing_key k;
    signing_key_make(&k);
    strcpy(k.id, "ed25519:DEV");
    json_t *keys = read(a, "{'user_id':'@u:x','device_id':'DEV','algorithms':['a'],'keys':{}}");
    const char *public_key = base64_encode(a, BASE64_STANDARD, k.public_, sizeof k.public_);
    json_object_set_new(json_object_get(keys, "keys"), k.id, json_string(public_key));
    check_error("signing", sign_json(keys, USER, &k), NULL);
    check_error("right", device_keys_check(keys, USER, DEVICE), NULL);
    assert_string_equal(device_keys_find(keys, "ed25519", DEVICE), public_key);
    assert_null(device_keys_find(keys, "curve25519", DEVICE));
    assert_null(device_keys_find(keys, "ed25519", "OTHER"));
    json_array_append_new(json_object_get(keys, "algorithms"), json_string("b"));
    check_error("changed afterwards", device_keys_check(keys, USER, DEVICE), "M_INVALID_SIGNATURE");
}

static void test_cross_signing_key_rules(void **state)
{
    static const struct {
        const char *proves, *key, *errcode;
    } rows[] = {
        {"well-formed",
         "{'user_id':'@u:x','usage':['master'],'keys':{'ed25519:" ZERO_KEY "':'" ZERO_KEY "'}}",
         NULL},
        {"user_id is the owner's",
         "{'user_id':'@v:x','usage':['master'],'keys':{'ed25519:" ZERO_KEY "':'" ZERO_KEY "'}}",
         "M_INVALID_PARAM"},
        {"usage is what it is uploaded as",
         "{'user_id':'@u:x','usage':['self_signing'],'keys':{'ed25519:" ZERO_KEY "':'" ZERO_KEY
         "'}}",
         "M_INVALID_PARAM"},
        {"exactly one key: none", "{'user_id':'@u:x','usage':['master'],'keys':{}}",
         "M_INVALID_PARAM"},
        {"exactly one key: two",
         "{'user_id':'@u:x','usage':['master'],'keys':{'a:b':'c','ed25519:" ZERO_KEY "':'" ZERO_KEY
         "'}}",
         "M_INVALID_PARAM"},
        {"named by itself",
         "{'user_id':'@u:x','usage':['master'],'keys':{'ed25519:x':'" ZERO_KEY "'}}",
         "M_INVALID_PARAM"},
        {"of 32 bytes", "{'user_id':'@u:x','usage':['master'],'keys':{'ed25519:AAAA':'AAAA'}}",
         "M_INVALID_PARAM"},
        {"a string", "{'user_id':'@u:x','usage':['master'],'keys':{'ed25519:x':{}}}",
         "M_INVALID_PARAM"},
    };
    arena_auto struct arena *a = arena_create();
    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *public_key = NULL;
        check_error(rows[i].proves,
                    cross_signing_key_check(read(a, rows[i].key), USER, "master", &public_key),
                    rows[i].errcode);
        if (!rows[i].errcode)
            assert_string_equal(public_key, ZERO_KEY);
    }
}

static void test_one_time_key_rules(void **state)
{
    static const struct {
        const char *proves, *name, *key, *errcode;
    } rows[] = {
        {"an object", "signed_curve25519:A", "{'key':'k','signatures':{'@u:x':{'a:b':'s'}}}", NULL},
        {"a string", "curve25519:A", "'k'", NULL},
        {"a number", "curve25519:A", "1", "M_BAD_JSON"},
        {"key is needed", "a:A", "{'signatures':{}}", "M_BAD_JSON"},
        {"signatures are needed", "a:A", "{'key':'k'}", "M_BAD_JSON"},
        {"no id", "a:", "'k'", "M_BAD_JSON"},
        {"no algorithm", ":a", "'k'", "M_BAD_JSON"},
        {"no colon", "a", "'k'", "M_BAD_JSON"},
    };
    arena_auto struct arena *a = arena_create();
    for (size_t i = 0; i < COUNT(rows); i++)
        check_error(rows[i].proves, one_time_key_check(rows[i].name, read(a, rows[i].key)),
                    rows[i].errcode);
}

static void test_signed_form(void **state)
{
    arena_auto struct arena *a = arena_create();
    struct str form;
    json_t *key = read(a, "{'b':1,'unsigned':{'x':1},'a':'ä','signatures':{'u':{}}}");
    check_error("form", key_signed_form(a, key, &form), NULL);
    check_text("canonical, without signatures and unsigned", form, "{\"a\":\"ä\",\"b\":1}");
    assert_non_null(json_object_get(key, "signatures"));
    char big[KEY_JSON_MAX + 1];
    memset(big, 'x', sizeof big);
    json_object_set_new(key, "a", json_stringn(big, sizeof big));
    check_error("too large", key_signed_form(a, key, &form), "M_BAD_JSON");
}

static void test_key_names(void **state)
{
    arena_auto struct arena *a = arena_create();
    const char *algorithm, *id;
    assert_true(key_name_split(a, "ed25519:A:B", &algorithm, &id));
    assert_string_equal(algorithm, "ed25519");
    assert_string_equal(id, "A:B");
    char long_name[KEY_NAME_MAX + 2];
    memset(long_name, ':', sizeof long_name);
    long_name[0] = 'a';
    long_name[sizeof long_name - 1] = '\0';
    assert_false(key_name_split(a, long_name, &algorithm, &id));
    assert_false(key_name_split(a, "", &algorithm, &id));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_device_keys_rules),
        cmocka_unit_test(test_right_device_signature),
        cmocka_unit_test(test_cross_signing_key_rules),
        cmocka_unit_test(test_one_time_key_rules),
        cmocka_unit_test(test_signed_form),
        cmocka_unit_test(test_key_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
