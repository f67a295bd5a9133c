build-asan/obj/matrix/canonical_tree.o: matrix/canonical_tree.c \
 base/mem.h matrix/canonical_json.h base/json.h base/arena.h base/err.h \
 base/errors.def base/str.h
base/mem.h:
matrix/canonical_json.h:
base/json.h:
base/arena.h:
base/err.h:
base/errors.def:
base/str.h:
