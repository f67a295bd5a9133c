/* GET /: the page for a person who opens the server's address in a browser. It loads and runs
 * nothing, and contains only what the operator has configured. */
#include "base/sha256.h"
#include "server/account/caller.h"
#include "server/routes.h"

#define STYLE                                                                                      \
    "body{font:1.1em sans-serif;max-width:36em;margin:3em auto;padding:0 1em;line-height:1.5}"

struct words {
    const char *language, *title, *before_name, *after_name, *before_url, *after_url;
    const char *no_url, *help, *write, *terms;
};

static const struct words languages[] = {
    {"fr", "Un serveur Matrix", "Ceci est le serveur de messagerie Matrix de ",
     ". Ce n’est pas un site à consulter : on s’y connecte avec une application Matrix, par "
     "exemple "
     "Element.",
     "Dans l’application, choisissez un autre serveur et saisissez : ",
     ". Puis connectez-vous avec votre identifiant et votre mot de passe.",
     "Dans l’application, choisissez un autre serveur et saisissez son nom.", "Aide", "Écrire à ",
     "Conditions d’utilisation"},
    {"en", "A Matrix server", "This is the Matrix messaging server of ",
     ". It is not a site to read: people connect to it with a Matrix application, such as Element.",
     "In the application, choose another server and enter: ",
     ". Then sign in with your user name and your password.",
     "In the application, choose another server and enter its name.", "Help", "Write to ",
     "Terms of use"},
};

static void add_link(struct buf *out, const char *scheme, const char *to, const char *text,
                     const char *more)
{
    BUF_LIT(out, "<li><a href=\"");
    buf_add_text(out, scheme);
    buf_add_html(out, to);
    BUF_LIT(out, "\">");
    buf_add_text(out, text);
    buf_add_html(out, more);
    BUF_LIT(out, "</a></li>");
}

static void add_links(struct buf *out, const struct config *c, const struct words *w)
{
    if (!c->support_page && !c->support_email && !c->terms_url)
        return;
    BUF_LIT(out, "<ul>");
    if (c->support_page)
        add_link(out, "", c->support_page, w->help, "");
    if (c->support_email)
        add_link(out, "mailto:", c->support_email, w->write, c->support_email);
    if (c->terms_url)
        add_link(out, "", c->terms_url, w->terms, "");
    BUF_LIT(out, "</ul>");
}

static void add_section(struct buf *out, const struct config *c, const struct words *w)
{
    buf_printf(out, "<section lang=\"%s\"><h1>%s</h1><p>%s<strong>", w->language, w->title,
               w->before_name);
    buf_add_html(out, c->server_name);
    buf_printf(out, "</strong>%s</p><p>%s", w->after_name, c->public_baseurl ? w->before_url : "");
    if (c->public_baseurl) {
        BUF_LIT(out, "<code>");
        buf_add_html(out, c->public_baseurl);
        BUF_LIT(out, "</code>");
    }
    buf_printf(out, "%s</p>", c->public_baseurl ? w->after_url : w->no_url);
    add_links(out, c, w);
    BUF_LIT(out, "</section>");
}

/* Allows only the page's own style, by its hash. */
static const char *policy(struct arena *a)
{
    unsigned char hash[SHA256_BYTES];
    sha256((struct str){STYLE, sizeof STYLE - 1}, hash);
    return arena_printf(a,
                        "default-src 'none'; style-src 'sha256-%s='; base-uri 'none'; "
                        "form-action 'none'; frame-ancestors 'none'",
                        base64_encode(a, BASE64_STANDARD, hash, sizeof hash));
}

static const struct err *get_front_page(struct request *rq, struct reply *rp)
{
    const struct config *c = job_of(rq)->config;
    struct buf *out = &rp->body;
    BUF_LIT(out, "<!DOCTYPE html><html lang=\"fr\"><head><meta charset=\"utf-8\">"
                 "<meta name=\"viewport\" content=\"width=device-width\"><title>Matrix: ");
    buf_add_html(out, c->server_name);
    BUF_LIT(out, "</title><style>" STYLE "</style></head><body>");
    for (size_t i = 0; i < sizeof languages / sizeof *languages; i++)
        add_section(out, c, &languages[i]);
    BUF_LIT(out, "</body></html>\n");
    reply_header(rp, "Content-Type", "text/html; charset=utf-8");
    reply_header(rp, "Content-Security-Policy", policy(rq->arena));
    reply_header(rp, "X-Content-Type-Options", "nosniff");
    reply_header(rp, "Referrer-Policy", "no-referrer");
    return reply_body(rp, 200);
}

const struct route front_page_routes[] = {
    {.method = GET, .path = "/", .handler = get_front_page, .spec = "-"},
    {.path = NULL},
};
