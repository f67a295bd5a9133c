build-asan/obj/matrix/json_scan.o: matrix/json_scan.c matrix/json_scan.h \
 base/str.h base/arena.h base/err.h base/errors.def base/json.h \
 base/mem.h matrix/json_lex.h
matrix/json_scan.h:
base/str.h:
base/arena.h:
base/err.h:
base/errors.def:
base/json.h:
base/mem.h:
matrix/json_lex.h:
