/* A plain JSON client over libcurl for the tests: one call at a time, failures end the test. */
#ifndef TESTS_OLM_HTTP_H
#define TESTS_OLM_HTTP_H

#include <jansson.h>

/* base: "http://127.0.0.1:PORT". */
void http_setup(const char *base);
void http_teardown(void);

/* Path below /_matrix/client/v3. Steals body (NULL: none). The reply must have status 200; the
 * caller owns it. */
json_t *http_call(const char *token, const char *method, const char *path, json_t *body);

#endif
