build-asan/obj/matrix/canonical_json.o: matrix/canonical_json.c \
 matrix/canonical_json.h base/json.h base/arena.h base/err.h \
 base/errors.def base/str.h base/mem.h matrix/json_lex.h
matrix/canonical_json.h:
base/json.h:
base/arena.h:
base/err.h:
base/errors.def:
base/str.h:
base/mem.h:
matrix/json_lex.h:
