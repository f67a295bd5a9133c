#include "check.h"

#include "server/media/image_type.h"

#define PNG "\x89PNG\r\n\x1a\n"
#define CHUNK(type) "\0\0\0\0" type "\0\0\0\0"

static const struct {
    const char *proves;
    struct str bytes;
    enum image_type type;
} types[] = {
    {"PNG", STR(PNG), IMAGE_PNG},
    {"PNG cut short", STR("\x89PNG\r\n\x1a"), IMAGE_NONE},
    {"JPEG", STR("\xff\xd8\xff\xe0"), IMAGE_JPEG},
    {"GIF of 1987", STR("GIF87a"), IMAGE_GIF},
    {"GIF of 1989", STR("GIF89a"), IMAGE_GIF},
    {"another GIF", STR("GIF90a"), IMAGE_NONE},
    {"WebP", STR("RIFF\1\2\3\4WEBP"), IMAGE_WEBP},
    {"a sound", STR("RIFF\1\2\3\4WAVE"), IMAGE_NONE},
    {"AVIF",
     STR("\0\0\0\x10"
         "ftypavif\0\0\0\0"),
     IMAGE_AVIF},
    {"AVIF, animated",
     STR("\0\0\0\x10"
         "ftypavis\0\0\0\0"),
     IMAGE_AVIF},
    {"AVIF among others",
     STR("\0\0\0\x18"
         "ftypmif1\0\0\0\0miafavif"),
     IMAGE_AVIF},
    {"a version is no brand",
     STR("\0\0\0\x10"
         "ftypmif1avif"),
     IMAGE_NONE},
    {"beyond the box",
     STR("\0\0\0\x10"
         "ftypmif1\0\0\0\0avif"),
     IMAGE_NONE},
    {"a box without end",
     STR("\xff\xff\xff\xff"
         "ftypmp42\0\0\0\0mp42"),
     IMAGE_NONE},
    {"HEIC",
     STR("\0\0\0\x10"
         "ftypheic\0\0\0\0"),
     IMAGE_NONE},
    {"SVG", STR("<svg xmlns="), IMAGE_NONE},
    {"PDF", STR("%PDF-1.4"), IMAGE_NONE},
    {"TIFF", STR("II*\0"), IMAGE_NONE},
    {"nothing", STR(""), IMAGE_NONE},
};

static void test_types(void **state)
{
    for (size_t i = 0; i < COUNT(types); i++)
        check_text(types[i].proves, str_of(image_type_mime(image_type_of(types[i].bytes))),
                   image_type_mime(types[i].type));
}

static const struct {
    const char *proves;
    struct str bytes;
    bool animated;
} pngs[] = {
    {"acTL before IDAT", STR(PNG CHUNK("IHDR") CHUNK("acTL") CHUNK("IDAT")), true},
    {"acTL after IDAT", STR(PNG CHUNK("IHDR") CHUNK("IDAT") CHUNK("acTL")), false},
    {"none", STR(PNG CHUNK("IHDR") CHUNK("IDAT")), false},
    {"within another chunk",
     STR(PNG "\0\0\0\x0c"
             "tEXt" CHUNK("acTL") "\0\0\0\0" CHUNK("IDAT")),
     false},
    {"after a chunk with data",
     STR(PNG "\0\0\0\2"
             "tEXtab\0\0\0\0" CHUNK("acTL")),
     true},
    {"a length beyond the end",
     STR(PNG "\xff\xff\xff\xff"
             "tEXt\0\0\0\0" CHUNK("acTL")),
     false},
    {"cut short", STR(PNG "\0\0\0\0acTL"), false},
    {"nothing", STR(""), false},
};

static void test_animated_png(void **state)
{
    for (size_t i = 0; i < COUNT(pngs); i++)
        check_bool(pngs[i].proves, "", image_png_is_animated(pngs[i].bytes), pngs[i].animated);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_animated_png),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
