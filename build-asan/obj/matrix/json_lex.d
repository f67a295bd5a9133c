build-asan/obj/matrix/json_lex.o: matrix/json_lex.c matrix/json_lex.h \
 base/str.h base/arena.h base/err.h base/errors.def
matrix/json_lex.h:
base/str.h:
base/arena.h:
base/err.h:
base/errors.def:
