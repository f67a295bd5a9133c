build-asan/obj/base/config_yaml.o: base/config_yaml.c \
 base/config_schema.h base/config.h base/arena.h base/err.h \
 base/errors.def base/log.h base/str.h
base/config_schema.h:
base/config.h:
base/arena.h:
base/err.h:
base/errors.def:
base/log.h:
base/str.h:
