build-asan/obj/base/lock.o: base/lock.c base/lock.h
base/lock.h:
