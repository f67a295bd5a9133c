build-asan/obj/base/config.o: base/config.c base/config.h base/arena.h \
 base/err.h base/errors.def base/log.h base/str.h base/config_schema.h
base/config.h:
base/arena.h:
base/err.h:
base/errors.def:
base/log.h:
base/str.h:
base/config_schema.h:
