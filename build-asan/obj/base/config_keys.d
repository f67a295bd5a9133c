build-asan/obj/base/config_keys.o: base/config_keys.c \
 base/config_schema.h base/config.h base/arena.h base/err.h \
 base/errors.def base/log.h base/str.h
base/config_schema.h:
base/config.h:
base/arena.h:
base/err.h:
base/errors.def:
base/log.h:
base/str.h:
