build-asan/obj/matrix/push_mentions.o: matrix/push_mentions.c \
 matrix/glob.h base/str.h base/arena.h base/err.h base/errors.def \
 matrix/push_rules.h base/json.h
matrix/glob.h:
base/str.h:
base/arena.h:
base/err.h:
base/errors.def:
matrix/push_rules.h:
base/json.h:
