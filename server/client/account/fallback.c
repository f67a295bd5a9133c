/* Pages for clients that do not support a way to log in or a UIA stage (client-server API,
 * "Fallback" and "Login Fallback"): they open them in a browser. */
#include "http/query.h"
#include "server/account/caller.h"
#include "server/account/uia.h"
#include "server/routes.h"

/* The pages are self-contained: nothing is loaded, and no other page may frame them. */
#define POLICY                                                                                     \
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "                  \
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'"

#define HEAD                                                                                       \
    "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">"                              \
    "<meta name=\"viewport\" content=\"width=device-width\"><title>Sign in</title>"                \
    "<style>body{font:1em sans-serif;max-width:22em;margin:3em auto;padding:0 1em}"                \
    "label,button{display:block;margin:1em 0}input{width:100%;font:inherit;padding:.3em}"          \
    ".wrong{color:#b00020}</style></head><body>"

static const struct err *reply_page(struct reply *rp, int status)
{
    reply_header(rp, "Content-Type", "text/html; charset=utf-8");
    reply_header(rp, "Content-Security-Policy", POLICY);
    reply_header(rp, "Cache-Control", "no-store");
    return reply_body(rp, status);
}

/* ---- stages of User-Interactive Authentication ---- */

static const struct {
    const char *stage, *field; /* the page's field; NULL: none */
    const char *label, *type;
} forms[] = {
    {UIA_PASSWORD, "password", "Password", "password"},
    {UIA_REGISTRATION_TOKEN, "token", "Registration token", "text"},
    {UIA_DUMMY, NULL, NULL, NULL},
};
enum { FORMS_N = sizeof forms / sizeof *forms };

static const struct err *need_form(struct request *rq, size_t *ret)
{
    for (size_t i = 0; i < FORMS_N; i++)
        if (strcmp(forms[i].stage, request_param(rq, "stage")) == 0) {
            *ret = i;
            return NULL;
        }
    return err(ERR_NOT_FOUND, "There is no such stage");
}

static const struct err *need_session(struct request *rq, const char **ret, const char **ret_user)
{
    const char *session = request_query(rq, "session");
    bool found;
    if (!session)
        return err(ERR_MISSING_PARAM, "Missing session");
    TRY(uia_find_session(rq, session, request_param(rq, "stage"), &found, ret_user));
    if (!found)
        return err(ERR_NOT_FOUND, "There is nothing to confirm: begin anew");
    *ret = session;
    return NULL;
}

static const struct err *reply_form(struct reply *rp, size_t form, const char *user_id,
                                    const char *wrong)
{
    struct buf *out = &rp->body;
    BUF_LIT(out, HEAD "<h1>Please confirm</h1><form method=\"post\">");
    if (user_id) {
        BUF_LIT(out, "<p>You are ");
        buf_add_html(out, user_id);
        BUF_LIT(out, ".</p>");
    }
    if (wrong) {
        BUF_LIT(out, "<p class=\"wrong\">");
        buf_add_html(out, wrong);
        BUF_LIT(out, "</p>");
    }
    if (forms[form].field)
        buf_printf(out, "<label>%s<input name=\"%s\" type=\"%s\" required autofocus></label>",
                   forms[form].label, forms[form].field, forms[form].type);
    BUF_LIT(out, "<button>Continue</button></form></body></html>");
    return reply_page(rp, wrong ? 401 : 200);
}

static const struct err *get_auth_page(struct request *rq, struct reply *rp)
{
    const char *session, *user_id = NULL;
    size_t form = 0;
    TRY(need_form(rq, &form));
    TRY(need_session(rq, &session, &user_id));
    return reply_form(rp, form, user_id, NULL);
}

/* The form's only field, in the form that a client would send. */
static const struct err *fallback_read_form(struct request *rq, size_t form, json_t **ret)
{
    struct url_query fields;
    json_t *auth = json_keep(rq->arena, json_object());
    TRY(query_parse(rq->arena, str_dup(rq->arena, rq->raw), &fields));
    for (size_t i = 0; i < fields.n; i++)
        if (forms[form].field && strcmp(fields.pairs[i].name, forms[form].field) == 0)
            json_object_set_new(auth, forms[form].field, json_string(fields.pairs[i].value));
    *ret = auth;
    return NULL;
}

static const struct err *post_auth_page(struct request *rq, struct reply *rp)
{
    const char *session = NULL, *user_id = NULL;
    size_t form = 0;
    json_t *auth = NULL;
    const struct err *wrong = NULL;
    TRY(need_form(rq, &form));
    TRY(need_session(rq, &session, &user_id));
    TRY(fallback_read_form(rq, form, &auth));
    TRY(uia_complete(rq, session, forms[form].stage, auth, &wrong));
    if (wrong)
        return reply_form(rp, form, user_id, wrong->text);
    BUF_LIT(&rp->body,
            HEAD "<h1>Thank you</h1><p>You may close this window and return to your client.</p>"
                 "<script>if (window.onAuthDone) { window.onAuthDone(); } "
                 "else if (window.opener && window.opener.postMessage) { "
                 "window.opener.postMessage(\"authDone\", \"*\"); }</script></body></html>");
    return reply_page(rp, 200);
}

/* ---- login ---- */

static const char login_page[] = HEAD
    "<h1>Sign in</h1><form><p class=\"wrong\" id=\"wrong\"></p>"
    "<label>User name<input name=\"user\" required autofocus autocomplete=\"username\"></label>"
    "<label>Password<input name=\"password\" type=\"password\" required "
    "autocomplete=\"current-password\"></label><button>Sign in</button></form><script>\n"
    "const form = document.forms[0], wrong = document.getElementById('wrong');\n"
    "form.onsubmit = async (event) => {\n"
    "  event.preventDefault();\n"
    "  const query = new URLSearchParams(location.search);\n"
    "  const body = {type: 'm.login.password', password: form.password.value,\n"
    "    identifier: {type: 'm.id.user', user: form.user.value}};\n"
    "  for (const key of ['device_id', 'initial_device_display_name'])\n"
    "    if (query.has(key)) body[key] = query.get(key);\n"
    "  if (query.get('refresh_token') === 'true') body.refresh_token = true;\n"
    "  const reply = await fetch('/_matrix/client/v3/login',\n"
    "    {method: 'POST', body: JSON.stringify(body)});\n"
    "  const result = await reply.json();\n"
    "  if (!reply.ok) wrong.textContent = result.error;\n"
    "  else if (window.matrixLogin && window.matrixLogin.onLogin)\n"
    "    window.matrixLogin.onLogin(result);\n"
    "  else if (window.onLogin) window.onLogin(result);\n"
    "};\n"
    "</script></body></html>";

static const struct err *get_login_page(struct request *rq, struct reply *rp)
{
    buf_add_text(&rp->body, login_page);
    return reply_page(rp, 200);
}

const struct route fallback_routes[] = {
    {.method = GET,
     .path = "/_matrix/client/v3/auth/{stage}/fallback/web",
     .handler = get_auth_page,
     .spec = "Fallback"},
    {.method = POST,
     .path = "/_matrix/client/v3/auth/{stage}/fallback/web",
     .handler = post_auth_page,
     .body = BODY_RAW,
     .rate = RATE_LOGIN,
     .pool = POOL_PASSWORD,
     .spec = "Fallback",
     .body_max = 8192},
    {.method = GET,
     .path = "/_matrix/static/client/login/",
     .handler = get_login_page,
     .spec = "Login Fallback"},
    {.path = NULL},
};
