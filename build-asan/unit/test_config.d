build-asan/unit/test_config.o: tests/unit/test_config.c \
 base/config_schema.h base/config.h base/arena.h base/err.h \
 base/errors.def base/log.h base/str.h
base/config_schema.h:
base/config.h:
base/arena.h:
base/err.h:
base/errors.def:
base/log.h:
base/str.h:
