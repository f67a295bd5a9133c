#include "federation/in/transaction_scan.h"

#include "matrix/json_scan.h"

/* The objects in a list that may be absent. */
static const struct err *scan_list(struct str body, const char *name, struct str *ret, size_t max,
                                   size_t *ret_n)
{
    struct str list = json_scan_get(body, name);
    struct json_member m;
    size_t n = 0, pos = 0;
    *ret_n = 0;
    if (!list.p)
        return NULL;
    if (list.p[0] != '[')
        return err(ERR_BAD_JSON, "\"%s\" must be a list", name);
    while (json_scan_next(list, &pos, &m)) {
        if (n == max)
            return err(ERR_BAD_JSON, "A transaction has at most %zu members in \"%s\"", max, name);
        if (m.value.p[0] == '{')
            ret[n++] = m.value;
    }
    *ret_n = n;
    return NULL;
}

const struct err *transaction_scan(struct arena *a, struct str body,
                                   struct incoming_transaction *ret)
{
    TRY(json_scan_check(body));
    struct incoming_transaction t = {0};
    if (str_trim(body, " \t\r\n").p[0] != '{')
        return err(ERR_BAD_JSON, "Content must be an object");
    struct str pdus[TRANSACTION_PDUS_MAX], origin = json_scan_get(body, "origin");
    if (origin.p && !(t.origin = json_scan_string(a, origin)))
        return err(ERR_BAD_JSON, "\"origin\" must be a string");
    TRY(scan_list(body, "pdus", pdus, TRANSACTION_PDUS_MAX, &t.pdus_n));
    TRY(scan_list(body, "edus", t.edus, TRANSACTION_EDUS_MAX, &t.edus_n));
    for (size_t i = 0; i < t.pdus_n; i++)
        t.pdus[i] = (struct transaction_pdu){
            pdus[i], json_scan_string(a, json_scan_get(pdus[i], "room_id"))};
    *ret = t;
    return NULL;
}
