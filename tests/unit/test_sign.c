#include "matrix/sign.h"

#include "check.h"

/* Appendices, "Cryptographic Test Vectors" */
static const char spec_key[] = "ed25519 1 YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1";

static struct signing_key key(void)
{
    struct signing_key k;
    check_error("the key of the spec", signing_key_parse(str_of(spec_key), &k), NULL);
    return k;
}

static char *public_key(struct arena *a, const struct signing_key *k)
{
    return base64_encode(a, BASE64_STANDARD, k->public_, sizeof k->public_);
}

static void test_spec_vectors(void **state)
{
    static const struct {
        const char *proves, *object, *signature;
    } rows[] = {
        {"empty object", "{}",
         "K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ"},
        {"object with data", "{'one':1,'two':'Two'}",
         "KqmLSbO39/Bzb0QIYE82zqLwsA+PDzYIpIRA2sRQ4sL53+sN6/fpNSoqE7BP7vBZhG6kYdD13EIMJpvhJI+6Bw"},
        {"unsigned and other signatures are not covered",
         "{'two':'Two','one':1,'unsigned':{'age':1},'signatures':{'other':{'ed25519:x':'y'}}}",
         "KqmLSbO39/Bzb0QIYE82zqLwsA+PDzYIpIRA2sRQ4sL53+sN6/fpNSoqE7BP7vBZhG6kYdD13EIMJpvhJI+6Bw"},
    };
    arena_auto struct arena *a = arena_create();
    struct signing_key k = key();
    for (size_t i = 0; i < COUNT(rows); i++) {
        json_t *o;
        check_error("row", json_read(a, str_of(quoted(a, rows[i].object)), &o), NULL);
        check_error(rows[i].proves, sign_json(o, "domain", &k), NULL);
        const json_t *s = json_at(o, "signatures", "domain", "ed25519:1", NULL);
        check_text(rows[i].proves, str_of(json_string_value(s)), rows[i].signature);
        assert_true(sign_check_json(o, "domain", "ed25519:1", str_of(public_key(a, &k))));
    }
}

static void test_sign_json_keeps_other_members(void **state)
{
    arena_auto struct arena *a = arena_create();
    struct signing_key k = key();
    json_t *o;
    check_error("object",
                json_read(a,
                          str_of(quoted(a, "{'unsigned':{'age':1},'signatures':{'domain':{"
                                           "'ed25519:0':'a'},'other':{'ed25519:x':'y'}}}")),
                          &o),
                NULL);
    check_error("signed", sign_json(o, "domain", &k), NULL);
    assert_string_equal(json_text(json_at(o, "signatures", "domain", NULL), "ed25519:0"), "a");
    assert_string_equal(json_text(json_at(o, "signatures", "other", NULL), "ed25519:x"), "y");
    assert_int_equal(json_integer_value(json_at(o, "unsigned", "age", NULL)), 1);
}

/* Appendices, "Checking for a Signature" */
static void test_check(void **state)
{
    arena_auto struct arena *a = arena_create();
    struct signing_key k = key(), other;
    signing_key_make(&other);
    struct str public = str_of(public_key(a, &k));
    json_auto_t *o = json_pack("{s:i}", "one", 1);
    assert_false(sign_check_json(o, "domain", "ed25519:1", public)); /* 1: no signatures */
    check_error("signed", sign_json(o, "domain", &k), NULL);
    assert_true(sign_check_json(o, "domain", "ed25519:1", public));
    assert_false(sign_check_json(o, "elsewhere", "ed25519:1", public)); /* 1: another entity */
    assert_false(sign_check_json(o, "domain", "ed25519:2", public));    /* 2: another key id */
    assert_false(sign_check_json(o, "domain", "ed25519:1", str_of(public_key(a, &other))));
    json_object_set_new(o, "unsigned", json_pack("{s:i}", "age", 5));
    assert_true(sign_check_json(o, "domain", "ed25519:1", public)); /* 5: not covered */
    json_object_set_new(o, "one", json_integer(2));
    assert_false(sign_check_json(o, "domain", "ed25519:1", public)); /* 7: changed */
    sign_put_signature(json_object_get(o, "signatures"), "domain", "ed25519:1", "not base64!");
    assert_false(sign_check_json(o, "domain", "ed25519:1", public)); /* 4: not base64 */
}

static void test_check_bytes(void **state)
{
    arena_auto struct arena *a = arena_create();
    struct signing_key k = key();
    char signature[SIGNATURE_BASE64 + 1];
    sign_bytes(&k, STR("bytes"), signature);
    assert_int_equal(strlen(signature), SIGNATURE_BASE64);
    struct str public = str_of(public_key(a, &k));
    assert_true(sign_check(public, STR("bytes"), str_of(signature)));
    assert_true(sign_check(public, STR("bytes"), str_of(arena_printf(a, "%s==", signature))));
    assert_false(sign_check(public, STR("Bytes"), str_of(signature)));
    assert_false(sign_check(STR("AAAA"), STR("bytes"), str_of(signature)));
    assert_false(sign_check(public, STR("bytes"), (struct str){signature, 80}));
    assert_false(sign_check((struct str){0}, STR("bytes"), (struct str){0}));
}

static void test_key_lines(void **state)
{
    static const struct {
        const char *proves, *line;
        bool ok;
    } rows[] = {
        {"as Synapse writes it", "ed25519 a_AbCd YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1\n",
         true},
        {"padded", "ed25519 1 YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA0=", true},
        {"any white space", "  ed25519\t1  YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1\r\n", true},
        {"another algorithm", "rsa 1 YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1", false},
        {"two words", "ed25519 YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1", false},
        {"four words", "ed25519 1 YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1 x", false},
        {"nothing", "", false},
        {"short seed", "ed25519 1 YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7k", false},
        {"long seed", "ed25519 1 YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1AAAA", false},
        {"not base64", "ed25519 1 YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW!3XA1", false},
        {"version with a colon", "ed25519 a:b YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1", false},
        {"version too long",
         "ed25519 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa "
         "YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1",
         false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct signing_key k;
        check_error(rows[i].proves, signing_key_parse(str_of(rows[i].line), &k),
                    rows[i].ok ? NULL : "M_INVALID_PARAM");
    }
}

static void test_key_round_trip(void **state)
{
    struct signing_key k, again;
    buf_auto struct buf line = {0};
    signing_key_make(&k);
    assert_memory_equal(k.id, "ed25519:a_", 10);
    assert_int_equal(strlen(k.id), 14);
    signing_key_add_line(&line, &k);
    check_error("its own line", signing_key_parse(buf_str(&line), &again), NULL);
    assert_string_equal(again.id, k.id);
    assert_memory_equal(again.secret, k.secret, sizeof k.secret);
    assert_memory_equal(again.public_, k.public_, sizeof k.public_);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spec_vectors), cmocka_unit_test(test_sign_json_keeps_other_members),
        cmocka_unit_test(test_check),        cmocka_unit_test(test_check_bytes),
        cmocka_unit_test(test_key_lines),    cmocka_unit_test(test_key_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
