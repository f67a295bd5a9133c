#include "server/cli/prompt.h"

#include "server/account/password.h"

#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

enum { CTRL_C = 3 };

/* One line of standard input, without its end; Ctrl-C, which the terminal then passes on, ends it
 * too. */
static const struct err *read_line(struct arena *a, const char **ret)
{
    char line[PASSWORD_BYTES_MAX + 1], c = 0;
    size_t n = 0;
    ssize_t got;
    while ((got = read(STDIN_FILENO, &c, 1)) == 1 && c != '\n' && c != CTRL_C)
        if (n < sizeof line)
            line[n++] = c;
    if (c == CTRL_C)
        return err(ERR_INVALID_PARAM, "Given up");
    if (got < 0 || (got == 0 && n == 0))
        return err(ERR_INVALID_PARAM, "A password is needed on standard input");
    if (n == sizeof line)
        return err(ERR_INVALID_PARAM, "A password may have at most %d bytes", PASSWORD_BYTES_MAX);
    n -= n && line[n - 1] == '\r';
    *ret = arena_memdup(a, line, n);
    explicit_bzero(line, sizeof line);
    return NULL;
}

/* Reads without echo. Ctrl-C ends the line instead of the program, so that the echo is always
 * restored. */
static const struct err *prompt_ask(struct arena *a, const char *question, const char **ret)
{
    struct termios before, quiet;
    if (tcgetattr(STDIN_FILENO, &before))
        return err_internal("tcgetattr failed");
    quiet = before;
    quiet.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
    quiet.c_cc[VEOL] = CTRL_C;
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    fputs(question, stderr);
    const char *line;
    const struct err *e = read_line(a, &line);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    fputc('\n', stderr);
    TRY(e);
    *ret = line;
    return NULL;
}

const struct err *prompt_password(struct arena *a, const char **ret)
{
    const char *first, *second;
    if (!isatty(STDIN_FILENO))
        return read_line(a, ret);
    TRY(prompt_ask(a, "Password: ", &first));
    TRY(prompt_ask(a, "The same again: ", &second));
    if (strcmp(first, second) != 0)
        return err(ERR_INVALID_PARAM, "The two passwords differ");
    *ret = first;
    return NULL;
}
