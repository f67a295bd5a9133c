/* New files, on file systems with files without a name and on others. */
#include "base/new_file.h"

#include "check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int (*const openers[])(const char *folder) = {new_file_open, new_file_open_named};

static char folder[64];
static int folder_fd;

static int set_up(void **state)
{
    snprintf(folder, sizeof folder, "/tmp/concorde-new-file-XXXXXX");
    assert_non_null(mkdtemp(folder));
    folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return folder_fd < 0;
}

static int count_files(void)
{
    int n = 0;
    DIR *d = opendir(folder);
    for (struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.' || strlen(e->d_name) > 2;
    closedir(d);
    return n;
}

static int tear_down(void **state)
{
    unlinkat(folder_fd, "a", 0);
    unlinkat(folder_fd, "b", 0);
    close(folder_fd);
    return rmdir(folder);
}

static void check_content(const char *name, const char *wanted)
{
    char got[16] = "";
    int fd = openat(folder_fd, name, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, got, sizeof got - 1), strlen(wanted));
    close(fd);
    assert_string_equal(got, wanted);
}

static int open_with(size_t opener, const char *content)
{
    int fd = openers[opener](folder);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    return fd;
}

static void test_a_complete_file_has_its_name_only(void **state)
{
    static const char *const names[] = {"a", "b"};
    for (size_t i = 0; i < COUNT(openers); i++) {
        int fd = open_with(i, names[i]);
        assert_true(new_file_link(fd, folder_fd, names[i]));
        new_file_close(fd);
        check_content(names[i], names[i]);
    }
    assert_int_equal(count_files(), 2);
}

/* Of two nodes that write the same file the second finds the first one's. */
static void test_the_first_one_is_kept(void **state)
{
    for (size_t i = 0; i < COUNT(openers); i++) {
        int first = open_with(i, "first"), second = open_with(i, "second");
        assert_true(new_file_link(first, folder_fd, "a"));
        assert_false(new_file_link(second, folder_fd, "a"));
        assert_int_equal(errno, EEXIST);
        new_file_close(second);
        new_file_close(first);
        check_content("a", "first");
        assert_int_equal(count_files(), 1);
        unlinkat(folder_fd, "a", 0);
    }
}

static void test_unfinished_files_leave_nothing(void **state)
{
    for (size_t i = 0; i < COUNT(openers); i++)
        new_file_close(open_with(i, "x"));
    int fd = new_file_open_scratch(folder);
    assert_true(fd >= 0);
    assert_int_equal(count_files(), 0);
    close(fd);
}

static void test_what_a_crash_left_is_swept(void **state)
{
    int old = open_with(1, "x"), recent = open_with(1, "y"), a = open_with(0, "a");
    const struct timespec long_ago[2] = {{1000, 0}, {1000, 0}};
    futimens(old, long_ago);
    futimens(a, long_ago);
    assert_true(new_file_link(a, folder_fd, "a"));
    new_files_sweep(folder, 2000);
    assert_int_equal(count_files(), 2);
    new_file_close(recent);
    new_file_close(a);
    assert_int_equal(count_files(), 1);
    check_content("a", "a");
    close(old);
}

static void test_no_folder(void **state)
{
    for (size_t i = 0; i < COUNT(openers); i++) {
        assert_int_equal(openers[i]("/tmp/concorde-there-is-none"), -1);
        assert_int_equal(errno, ENOENT);
    }
    new_files_sweep("/tmp/concorde-there-is-none", 2000);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_a_complete_file_has_its_name_only),
        IN_FOLDER(test_the_first_one_is_kept),
        IN_FOLDER(test_unfinished_files_leave_nothing),
        IN_FOLDER(test_what_a_crash_left_is_swept),
        IN_FOLDER(test_no_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
