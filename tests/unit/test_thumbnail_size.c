#include "check.h"

#include "server/media/thumbnail_size.h"

static const struct {
    const char *proves;
    struct thumbnail_size wanted;
    const char *name;
} rows[] = {
    {"32x32, crop", {32, 32, true}, "32x32-crop"},
    {"96x96, crop", {96, 96, true}, "96x96-crop"},
    {"320x240, scale", {320, 240}, "320x240-scale"},
    {"640x480, scale", {640, 480}, "640x480-scale"},
    {"800x600, scale", {800, 600}, "800x600-scale"},
    {"never smaller than asked for: crop", {33, 33, true}, "96x96-crop"},
    {"never smaller than asked for: scale", {321, 1}, "640x480-scale"},
    {"never smaller than asked for: height", {1, 481}, "800x600-scale"},
    {"the least", {1, 1, true}, "32x32-crop"},
    {"the least, scaled", {1, 1}, "320x240-scale"},
    {"large avatars", {256, 256, true}, "320x320-crop"},
    {"a crop that is not square", {200, 40, true}, "240x96-crop"},
    {"for large screens", {801, 600}, "1600x1200-scale"},
    {"larger than all: as it is", {1601, 10}, "65536x65536-scale"},
    {"larger than all: as it is, cropped", {1601, 10, true}, "65536x32-crop"},
    {"absurd", {INT32_MAX, INT32_MAX, true}, "65536x65536-crop"},
    {"absurd, scaled", {INT32_MAX, INT32_MAX}, "65536x65536-scale"},
    {"animated ones apart", {96, 96, true, true}, "96x96-crop-animated"},
};

static void test_sizes(void **state)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        buf_auto struct buf name = {0};
        thumbnail_size_add_name(&name, thumbnail_size_snap(rows[i].wanted));
        check_text(rows[i].proves, buf_str(&name), rows[i].name);
    }
}

/* A snapped size snaps to itself: a size has one name. */
static void test_sizes_are_stable(void **state)
{
    for (int w = 1; w < 2000; w += 7)
        for (int h = 1; h < 2000; h += 31)
            for (int crop = 0; crop < 2; crop++) {
                struct thumbnail_size wanted = {w, h, crop, false};
                struct thumbnail_size once = thumbnail_size_snap(wanted);
                struct thumbnail_size twice = thumbnail_size_snap(once);
                assert_true(once.width >= w && once.height >= h);
                assert_int_equal(once.width, twice.width);
                assert_int_equal(once.height, twice.height);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_sizes_are_stable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
