/* A pool of threads: they sleep between jobs, and spin at barriers within one. */

#pragma once
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include "platform.h"

typedef struct {
  int size;
  atomic_int arrived, phase;
} Barrier;

/* Wait until all `size` threads have arrived. After some spins a thread yields: there may be fewer cores than threads. */
static void wait_at(Barrier *barrier) {
  if (barrier->size == 1) return;
  int phase = atomic_load(&barrier->phase);
  if (atomic_fetch_add(&barrier->arrived, 1) + 1 == barrier->size) {
    atomic_store(&barrier->arrived, 0);
    atomic_store(&barrier->phase, phase + 1);
    return;
  }
  for (int spins = 0; atomic_load_explicit(&barrier->phase, memory_order_acquire) == phase; spins++)
    if (spins > 2000) sched_yield();
    else pause_thread();
}

typedef struct ThreadPool {
  int size;
  void (*work)(void *, int);
  void *job;
  pthread_mutex_t lock;
  pthread_cond_t start, done;
  long jobs_started;
  int running, closing;
  pthread_t threads[];
} ThreadPool;

typedef struct { ThreadPool *pool; int index; } Worker;

static void *run_worker(void *argument) {
  Worker self = *(Worker *)argument;
  free(argument);
  for (long jobs_done = 0;; jobs_done++) {
    pthread_mutex_lock(&self.pool->lock);
    while (self.pool->jobs_started == jobs_done && !self.pool->closing) pthread_cond_wait(&self.pool->start, &self.pool->lock);
    int closing = self.pool->closing;
    pthread_mutex_unlock(&self.pool->lock);
    if (closing) return NULL;
    self.pool->work(self.pool->job, self.index);
    pthread_mutex_lock(&self.pool->lock);
    if (!--self.pool->running) pthread_cond_signal(&self.pool->done);
    pthread_mutex_unlock(&self.pool->lock);
  }
}

/* Call work(job, index) once in each thread, with index 0 in the calling one, and wait until all have returned */
static void run_on_all(ThreadPool *pool, void (*work)(void *, int), void *job) {
  if (pool->size > 1) {
    pthread_mutex_lock(&pool->lock);
    pool->work = work, pool->job = job, pool->running = pool->size - 1, pool->jobs_started++;
    pthread_cond_broadcast(&pool->start);
    pthread_mutex_unlock(&pool->lock);
  }
  work(job, 0);
  if (pool->size > 1) {
    pthread_mutex_lock(&pool->lock);
    while (pool->running) pthread_cond_wait(&pool->done, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
  }
}

static void close_pool(ThreadPool *pool) {
  pthread_mutex_lock(&pool->lock);
  pool->closing = 1;
  pthread_cond_broadcast(&pool->start);
  pthread_mutex_unlock(&pool->lock);
  for (int i = 0; i + 1 < pool->size; i++) pthread_join(pool->threads[i], NULL);
  free(pool);
}

/* Return a pool of `size` threads, the caller being one; NULL where memory or threads are lacking */
static ThreadPool *open_pool(int size) {
  ThreadPool *pool = calloc(1, sizeof *pool + sizeof(pthread_t) * size);
  if (!pool) return NULL;
  pthread_mutex_init(&pool->lock, NULL), pthread_cond_init(&pool->start, NULL), pthread_cond_init(&pool->done, NULL);
  for (pool->size = 1; pool->size < size; pool->size++) {
    Worker *worker = malloc(sizeof *worker);
    if (worker) *worker = (Worker){pool, pool->size};
    if (!worker || pthread_create(&pool->threads[pool->size - 1], NULL, run_worker, worker)) {
      free(worker), close_pool(pool);
      return NULL;
    }
  }
  return pool;
}
