#include "federation/routes/xmatrix.h"

#include "check.h"
#include "federation/peer/xmatrix_sign.h"

static void test_parse(void **state)
{
    static const struct {
        const char *proves, *header, *origin, *destination, *key, *sig;
    } rows[] = {
        {"quoted values", "X-Matrix origin='a',destination='b',key='ed25519:1',sig='s+/='", "a",
         "b", "ed25519:1", "s+/="},
        {"any order, capitals", "x-matrix SIG='s',Key='k',ORIGIN='a'", "a", NULL, "k", "s"},
        {"tokens and colons", "X-Matrix origin=a.example:8448,key=ed25519:1,sig=abc+/==",
         "a.example:8448", NULL, "ed25519:1", "abc+/=="},
        {"an address", "X-Matrix origin=[::1]:80,key=k,sig=s", "[::1]:80", NULL, "k", "s"},
        {"white space", "X-Matrix \t origin = 'a' \t,\tkey= 'k' , sig ='s' ", "a", NULL, "k", "s"},
        {"empty elements", "X-Matrix ,,origin='a',,key='k', ,sig='s',", "a", NULL, "k", "s"},
        {"backslashes", "X-Matrix origin='\\a\\'\\\\',key='k',sig='s'", "a\"\\", NULL, "k", "s"},
        {"unknown parameters", "X-Matrix origin='a',x=1,key='k',y='\\'',sig='s'", "a", NULL, "k",
         "s"},
        {"commas in quotes", "X-Matrix origin='a,key=',key='k',sig='s'", "a,key=", NULL, "k", "s"},
        {"the other name", "X-Matrix origin='a',key='k',signature='s'", "a", NULL, "k", "s"},
        {"another scheme", "Bearer abc"},
        {"a longer scheme", "X-Matrixx origin='a',key='k',sig='s'"},
        {"nothing", "X-Matrix"},
        {"nothing behind it", "X-Matrix "},
        {"no origin", "X-Matrix key='k',sig='s'"},
        {"no key", "X-Matrix origin='a',sig='s'"},
        {"no signature", "X-Matrix origin='a',key='k'"},
        {"twice the same", "X-Matrix origin='a',origin='a',key='k',sig='s'"},
        {"both names", "X-Matrix origin='a',key='k',sig='s',signature='s'"},
        {"an open quote", "X-Matrix origin='a',key='k',sig='s"},
        {"a backslash at the end", "X-Matrix origin='a',key='k',sig='s\\"},
        {"no comma", "X-Matrix origin='a' key='k',sig='s'"},
        {"no value", "X-Matrix origin=,key='k',sig='s'"},
        {"no name", "X-Matrix ='a',key='k',sig='s'"},
        {"a semicolon", "X-Matrix origin='a';key='k',sig='s'"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        arena_auto struct arena *a = arena_create();
        struct xmatrix x;
        const struct err *e = xmatrix_parse(a, str_of(quoted(a, rows[i].header)), &x);
        check_error(rows[i].proves, e, rows[i].origin ? NULL : "M_UNAUTHORIZED");
        if (e)
            continue;
        check_text(rows[i].proves, str_of(x.origin), rows[i].origin);
        check_text(rows[i].proves, str_of(x.key_id), rows[i].key);
        check_text(rows[i].proves, str_of(x.signature), rows[i].sig);
        check_text(rows[i].proves, str_of(x.destination ? x.destination : "none"),
                   rows[i].destination ? rows[i].destination : "none");
    }
}

static void check_signed(const char *proves, const char *content, const char *wanted)
{
    arena_auto struct arena *a = arena_create();
    buf_auto struct buf b = {0};
    const struct xmatrix_request r = {"PUT", "/x?y=\"", "a", "b", str_of(content)};
    xmatrix_signed_bytes(&b, &r);
    check_text(proves, buf_str(&b), quoted(a, wanted));
}

static void test_signed_bytes(void **state)
{
    check_signed("no body", "", "{'destination':'b','method':'PUT','origin':'a','uri':'/x?y=\\''}");
    check_signed("a body", "{}",
                 "{'content':{},'destination':'b','method':'PUT','origin':'a','uri':'/x?y=\\''}");
}

/* A header that we write can be parsed, and its signature is valid. */
static void test_header(void **state)
{
    arena_auto struct arena *a = arena_create();
    struct signing_key key;
    struct xmatrix x;
    check_error("the key",
                signing_key_parse(STR("ed25519 1 YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW"
                                      "+3XA1"),
                                  &key),
                NULL);
    const char *header =
        xmatrix_header(a, "domain", &key, "b.example", POST, "/p", STR("{\"a\":1}"));
    check_error("reading", xmatrix_parse(a, str_of(header), &x), NULL);
    check_text("origin", str_of(x.origin), "domain");
    check_text("destination", str_of(x.destination), "b.example");
    check_text("key", str_of(x.key_id), "ed25519:1");
    assert_true(sign_check(STR("XGX0JRS2Af3be3knz2fBiRbApjm2Dh61gXDJA8kcJNI"),
                           STR("{\"content\":{\"a\":1},\"destination\":\"b.example\",\"method\":"
                               "\"POST\",\"origin\":\"domain\",\"uri\":\"/p\"}"),
                           str_of(x.signature)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_signed_bytes),
        cmocka_unit_test(test_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
