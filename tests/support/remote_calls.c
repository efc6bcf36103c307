/* Calls functions of a shared library for another process, which may be of another processor: tests/support/emulated.py drives it.

     remote_calls LIBRARY <requests >answers

   A request is one number, then its arguments; every number is an int64_t.

     'a' bytes                    allocate zeros           -> address
     'f' address                  free
     'w' address bytes, data      write memory
     'r' address bytes            read memory              -> data
     'c' bytes, name, 8 numbers   call a function          -> its result */

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int64_t Function(int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t);

static void read_bytes(void *to, size_t bytes) {
  if (bytes && fread(to, bytes, 1, stdin) != 1) exit(0); /* the other process has ended */
}

static int64_t read_number(void) {
  int64_t number;
  read_bytes(&number, sizeof number);
  return number;
}

static void answer(const void *data, size_t bytes) {
  if (bytes) fwrite(data, bytes, 1, stdout);
  fflush(stdout);
}

static void answer_number(int64_t number) { answer(&number, sizeof number); }

static void *allocate(int64_t bytes) {
  void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
  return memory ? memset(memory, 0, bytes) : NULL;
}

static int64_t call(void *library) {
  char name[256] = {0};
  int64_t bytes = read_number(), at[8];
  if (bytes < 0 || bytes >= (int64_t)sizeof name) exit(2);
  read_bytes(name, bytes), read_bytes(at, sizeof at);
  Function *function = (Function *)dlsym(library, name);
  if (!function) fprintf(stderr, "no function %s\n", name), exit(2);
  return function(at[0], at[1], at[2], at[3], at[4], at[5], at[6], at[7]);
}

int main(int count, char **arguments) {
  void *library = count == 2 ? dlopen(arguments[1], RTLD_NOW) : NULL;
  if (!library) return fprintf(stderr, "%s\n", count == 2 ? dlerror() : "expected a library"), 2;
  for (;;) {
    int64_t request = read_number(), address = request == 'c' ? 0 : read_number();
    switch (request) {
      case 'a': answer_number((int64_t)allocate(address)); break;
      case 'f': free((void *)address); break;
      case 'w': read_bytes((void *)address, read_number()); break;
      case 'r': answer((void *)address, read_number()); break;
      case 'c': answer_number(call(library)); break;
      default: return 2;
    }
  }
}
