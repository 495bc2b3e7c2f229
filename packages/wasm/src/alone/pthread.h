// C-Blosc starts no thread where it is asked for one alone, but names these all the same.
#pragma once
#include <sys/types.h>
#define PTHREAD_MUTEX_INITIALIZER {0}
#define PTHREAD_ONCE_INIT 0
#define PTHREAD_CREATE_JOINABLE 0
#define PTHREAD_BARRIER_SERIAL_THREAD (-1)
#define UNUSED_THREADS(name) static inline int name() { return 0; }
UNUSED_THREADS(pthread_create)
UNUSED_THREADS(pthread_join)
UNUSED_THREADS(pthread_attr_init)
UNUSED_THREADS(pthread_attr_destroy)
UNUSED_THREADS(pthread_attr_setdetachstate)
UNUSED_THREADS(pthread_mutex_init)
UNUSED_THREADS(pthread_mutex_destroy)
UNUSED_THREADS(pthread_mutex_lock)
UNUSED_THREADS(pthread_mutex_unlock)
UNUSED_THREADS(pthread_cond_init)
UNUSED_THREADS(pthread_cond_destroy)
UNUSED_THREADS(pthread_cond_wait)
UNUSED_THREADS(pthread_cond_broadcast)
UNUSED_THREADS(pthread_atfork)
UNUSED_THREADS(pthread_barrier_init)
UNUSED_THREADS(pthread_barrier_destroy)
UNUSED_THREADS(pthread_barrier_wait)
static inline int pthread_once(pthread_once_t *once, void (*run)(void)) {
  if (!*once) { *once = 1; run(); }
  return 0;
}
